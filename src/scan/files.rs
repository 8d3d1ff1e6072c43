//! The stream of live files.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{
    Array, ArrayRef, AsArray, MapArray, RecordBatch, RecordBatchOptions, StructArray,
};
use arrow::datatypes::{DataType, Field, Fields, Schema};

use super::checks::Checked;
use super::stream::Counts;
use super::{BatchStream, Column, PartitionField, Projection, Scan};
use crate::actions::{ActionKind, ActionKinds, FileColumns, FileField};
use crate::error::{Error, Result};
use crate::partition_value::PartitionColumn;
use crate::read_ahead::Cancel;
use crate::replay::{Plan, Projected, Replay};

impl Scan {
    /// Starts the stream of live files, newest commit first, then the
    /// checkpoint. Decoding has begun when it returns, and runs ahead of the
    /// consumer as far as the window allows.
    ///
    /// # Errors
    /// As [`Scan::files_schema`], and what a look at the log's files gives.
    pub fn files(&self) -> Result<BatchStream> {
        let mut projection = self.resolve()?;
        let snapshot = &self.snapshot;
        let engine = snapshot.engine();
        let counts = Counts::new(&snapshot.storage());
        let schema = Arc::clone(&projection.schema);
        let projected = Arc::clone(&counts);
        let (commits, checkpoint) = snapshot.take_log()?;
        let checksum = snapshot.checksum();
        let delivered_columns = projection.columns.len();
        let size_column = checksum.is_some().then(|| projection.size_column());
        let want = projection.want;
        let said = checkpoint.as_ref().map(|checkpoint| checkpoint.said.clone());
        let mut plan = Plan {
            memory: engine.memory().clone(),
            storage: Arc::clone(&counts.storage) as _,
            commits,
            checkpoint,
            events: engine.events().clone(),
            rows: ActionKinds::from_iter([ActionKind::ADD]),
            want,
            project: Arc::new(move |adds: &FileColumns| projection.project(adds, &projected)),
            size_column,
            delivered_columns,
            batch_rows: self.batch_rows,
            last_action_wins: self.last_action_wins,
            window: self.window(),
        };
        if self.threads.is_none() && engine.spares_threads() && plan.is_small() {
            plan.window.threads = 0;
        }
        let cancel = Cancel::default();
        let replay = Replay::new(engine.pool(), cancel.clone(), Arc::clone(&counts.units), plan);
        let checked =
            Checked { replay, snapshot: snapshot.clone(), checksum, said, warns: self.checks_warn };
        Ok(BatchStream::new(schema, cancel, counts, checked))
    }
}

impl Projection {
    /// The column of sizes, which is put behind the others if it is none of them.
    fn size_column(&mut self) -> usize {
        let size = Column::Field(FileField::Size);
        if let Some(at) = self.columns.iter().position(|&column| column == size) {
            return at;
        }
        let field = Field::new("size", FileField::Size.data_type(), true);
        let fields = self.schema.fields().iter().cloned().chain([Arc::new(field)]);
        self.schema = Arc::new(Schema::new(fields.collect::<Fields>()));
        self.columns.push(size);
        self.want.insert(FileField::Size);
        self.columns.len() - 1
    }

    fn project(&self, adds: &FileColumns, counts: &Counts) -> Result<Projected> {
        let mut bad_rows = Vec::new();
        let columns = self
            .columns
            .iter()
            .map(|column| match column {
                Column::Field(field) => adds.column(*field).cloned(),
                Column::Partition => self.partition(adds, counts, &mut bad_rows),
            })
            .collect::<Result<Vec<ArrayRef>>>()?;
        // The row count stands apart: a stream may have no column at all.
        let options = RecordBatchOptions::new().with_row_count(Some(adds.rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|e| Error::bug(format!("a batch of files: {e}")))?;
        Ok(Projected { batch, bad_rows })
    }

    /// The partition values, typed. A value that this version's schema does not
    /// understand is null in a remove, which often is of an older schema's file.
    fn partition(
        &self,
        actions: &FileColumns,
        counts: &Counts,
        bad_rows: &mut Vec<(usize, Error)>,
    ) -> Result<ArrayRef> {
        let values = actions.column(FileField::PartitionValues)?.as_map();
        let mut missing = 0;
        let mut columns = Vec::with_capacity(self.partition.len());
        for PartitionField { physical_name, field } in &self.partition {
            let mut column = PartitionColumn::new(&field.name, &field.data_type)?;
            for row in 0..values.len() {
                let value = match value_of(values, row, physical_name) {
                    Some(value) => value,
                    None => {
                        missing += u64::from(actions.kind(row) == ActionKind::ADD);
                        None
                    }
                };
                if let Err(e) = column.append(value) {
                    if actions.kind(row) != ActionKind::REMOVE {
                        bad_rows.push((row, e));
                    }
                    column.append(None)?;
                }
            }
            columns.push(column.finish());
        }
        counts.partition_values_missing.fetch_add(missing, Ordering::Relaxed);
        let DataType::Struct(fields) = self.partition_type() else {
            return Err(Error::bug("the partition column is not a struct"));
        };
        let built = StructArray::try_new_with_length(fields, columns, None, values.len());
        Ok(Arc::new(built.map_err(|e| Error::bug(format!("typed partition values: {e}")))?))
    }

    fn partition_type(&self) -> DataType {
        DataType::Struct(super::partition_types(&self.partition))
    }
}

/// The value of `key` in a row's map: `None` where the key is not there.
fn value_of<'a>(map: &'a MapArray, row: usize, key: &str) -> Option<Option<&'a str>> {
    if map.is_null(row) {
        return None;
    }
    let (keys, values) = (map.keys().as_string::<i32>(), map.values().as_string::<i32>());
    let offsets = map.value_offsets();
    let entries = offsets[row] as usize..offsets[row + 1] as usize;
    let at = entries.into_iter().find(|&at| keys.value(at) == key)?;
    Some(values.is_valid(at).then(|| values.value(at)))
}
