//! Which rows of a data file a filter wants: by what is known of them all, and by
//! their own values.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{concat_batches, nullif};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::{Wanted, schema_of};
use crate::error::{Error, Result};
use crate::predicate::{Asked, Question};
use crate::schema::{ArrayType, ColumnMappingMode, DataType, MapType, StructField, StructType};

/// A predicate, and the columns of data files that it is about.
pub(in crate::scan) struct RowFilter {
    pub(super) question: Arc<Question>,
    /// Of each column that is asked about, where it is among `wanted`, and of each
    /// struct on the way which field comes next. Nowhere for a partition column.
    pub(super) places: Vec<Option<Vec<usize>>>,
    pub(super) wanted: Arc<Wanted>,
    /// Whether rows are left out by row group and by page alone.
    pub(super) keeps_units: bool,
}

impl RowFilter {
    /// `question` about the columns of `table`, which files have under the names of
    /// `mode`. Where it `keeps_units`, rows are left out by row group or by page alone.
    ///
    /// # Errors
    /// As [`Wanted::new`].
    pub(in crate::scan) fn new(
        question: &Arc<Question>,
        table: &StructType,
        mode: ColumnMappingMode,
        keeps_units: bool,
    ) -> Result<RowFilter> {
        let columns = question.columns();
        let of_files = columns.iter().filter(|column| column.partition.is_none());
        let paths: Vec<&[String]> = of_files.map(|column| &column.path[..]).collect();
        let fields = asked_fields(&table.fields, &paths);
        let place = |path: &[String]| -> Option<Vec<usize>> {
            let mut within = &fields;
            path.iter()
                .enumerate()
                .map(|(depth, name)| {
                    let at = within.iter().position(|field| field.name == *name)?;
                    match &within[at].data_type {
                        DataType::Struct(schema) => within = &schema.fields,
                        _ if depth + 1 < path.len() => return None,
                        _ => {}
                    }
                    Some(at)
                })
                .collect()
        };
        let places = columns.iter().map(|column| match column.partition {
            Some(_) => Ok(None),
            None => match place(&column.path) {
                Some(place) => Ok(Some(place)),
                None => Err(Error::bug("a column of a predicate is not the table's")),
            },
        });
        Ok(RowFilter {
            places: places.collect::<Result<_>>()?,
            wanted: Arc::new(Wanted::new(&fields, mode)?),
            question: Arc::clone(question),
            keeps_units,
        })
    }

    /// Whether the values of partition columns decide anything.
    pub(in crate::scan) fn asks_partition(&self) -> bool {
        let mut columns = self.question.columns().iter().enumerate();
        columns.any(|(at, column)| column.partition.is_some() && self.question.asks(at))
    }

    /// What is left of the question in a file with these values of partition columns,
    /// each an array of one, by their places among the table's; `None` where no row
    /// of it is wanted.
    pub(in crate::scan) fn of_file(
        &self,
        value: impl Fn(usize) -> Option<ArrayRef>,
    ) -> Result<Option<Question>> {
        let columns = self.question.columns();
        let known = |at: usize| columns.get(at)?.partition.and_then(&value);
        let left = self.question.given(known)?;
        // Of values of which nothing is known yet.
        let outcomes = left.outcomes(1, &[])?;
        Ok(outcomes.iter().any(|outcome| outcome.may_be_true()).then_some(left))
    }
}

/// `fields` with nothing in them but what the paths lead to, in the order of their
/// first mention.
fn asked_fields(fields: &[StructField], paths: &[&[String]]) -> Vec<StructField> {
    let mut asked: Vec<(&StructField, Vec<&[String]>)> = Vec::new();
    for path in paths {
        let Some((name, below)) = path.split_first() else { continue };
        let Some(field) = fields.iter().find(|field| field.name == *name) else { continue };
        let below = Some(below).filter(|below| !below.is_empty());
        match asked.iter_mut().find(|(known, _)| known.name == field.name) {
            Some((_, paths)) => paths.extend(below),
            None => asked.push((field, below.into_iter().collect())),
        }
    }
    let pruned = asked.into_iter().map(|(field, below)| {
        let data_type = match &field.data_type {
            DataType::Struct(schema) => {
                DataType::Struct(StructType { fields: asked_fields(&schema.fields, &below) })
            }
            data_type => presence(data_type),
        };
        StructField { data_type, ..field.clone() }
    });
    pruned.collect()
}

/// A type as far as it takes to tell its nulls from its values: what is nested is
/// not compared.
fn presence(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Struct(_) => DataType::Struct(StructType { fields: Vec::new() }),
        DataType::Array(array) => DataType::Array(Box::new(ArrayType {
            element_type: presence(&array.element_type),
            ..**array
        })),
        DataType::Map(map) => DataType::Map(Box::new(MapType {
            key_type: map.key_type.clone(),
            value_type: presence(&map.value_type),
            ..**map
        })),
        data_type => data_type.clone(),
    }
}

/// The wanted columns of wanted rows: the filter's, and others.
pub(in crate::scan) struct Filtered {
    pub(super) filter: Arc<RowFilter>,
    /// The wanted columns that the filter does not have.
    pub(super) rest: Arc<Wanted>,
    /// Where each of the wanted columns is.
    pub(super) from: Vec<From>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    Filter(usize),
    Rest(usize),
}

impl Filtered {
    pub(in crate::scan) fn new(wanted: &Wanted, filter: &Arc<RowFilter>) -> Filtered {
        let (mut rest, mut from) = (Vec::new(), Vec::new());
        for column in &wanted.columns {
            let of_filter = &filter.wanted.columns;
            from.push(match of_filter.iter().position(|other| other == column) {
                Some(at) => From::Filter(at),
                None => {
                    rest.push(column.clone());
                    From::Rest(rest.len() - 1)
                }
            });
        }
        let rest = Arc::new(Wanted { schema: schema_of(&rest), columns: rest });
        Filtered { filter: Arc::clone(filter), rest, from }
    }

    /// True for each row of `batch`, which has the columns of the filter, for which
    /// `question` is.
    pub(super) fn mask(&self, question: &Question, batch: &RecordBatch) -> Result<BooleanBuffer> {
        let asked = self.filter.places.iter().enumerate().map(|(at, place)| match place {
            Some(place) if question.asks(at) => Ok(Asked::Values(field_at(batch, place)?)),
            _ => Ok(Asked::Nothing),
        });
        let asked = asked.collect::<Result<Vec<_>>>()?;
        let outcomes = question.outcomes(batch.num_rows(), &asked)?;
        let is_true = |row: usize| outcomes.get(row).is_some_and(|outcome| outcome.is_true());
        Ok(BooleanBuffer::collect_bool(batch.num_rows(), is_true))
    }
}

/// Parts of columns have at most so many bytes when they are put together: the texts
/// of an array are at most 2 GiB.
const JOINED_BYTES_MAX: usize = 1 << 30;

impl Filtered {
    /// Those of the filter's columns that are delivered.
    pub(super) fn of_asked(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let places = self.from.iter().filter_map(|from| match from {
            From::Filter(at) => Some(*at),
            From::Rest(_) => None,
        });
        let places: Vec<usize> = places.collect();
        batch.project(&places).map_err(|e| Error::bug(format!("the columns of a filter: {e}")))
    }

    /// The wanted columns, put together: rows in `parts` of the filter's columns that
    /// are delivered, and the same rows in `others` of the rest.
    pub(super) fn joined(
        &self,
        mut parts: VecDeque<RecordBatch>,
        others: Vec<RecordBatch>,
        schema: &SchemaRef,
    ) -> std::result::Result<Vec<RecordBatch>, ArrowError> {
        let mut joined = Vec::with_capacity(others.len());
        let put_together = |asked: &RecordBatch, other: &RecordBatch| {
            let mut of_filter = asked.columns().iter();
            let columns = self.from.iter().map(|from| match from {
                From::Filter(_) => of_filter.next(),
                From::Rest(at) => other.columns().get(*at),
            });
            let columns = columns.map(|column| column.cloned()).collect::<Option<Vec<_>>>();
            let columns = columns.unwrap_or_default();
            let options = RecordBatchOptions::new().with_row_count(Some(other.num_rows()));
            RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        };
        for mut other in others {
            while other.num_rows() > 0 {
                // As much of it as can be one batch.
                let (mut taken, mut rows, mut bytes) = (Vec::new(), 0, 0);
                while let Some(part) = parts.front_mut().filter(|_| rows < other.num_rows()) {
                    let head = part.slice(0, part.num_rows().min(other.num_rows() - rows));
                    let more = slice_bytes(&head)?;
                    if rows > 0 && bytes + more > JOINED_BYTES_MAX {
                        break;
                    }
                    bytes += more;
                    rows += head.num_rows();
                    match head.num_rows() == part.num_rows() {
                        true => drop(parts.pop_front()),
                        false => {
                            *part = part.slice(head.num_rows(), part.num_rows() - head.num_rows());
                        }
                    }
                    taken.push(head);
                }
                let asked = match &taken[..] {
                    [] => return Err(ArrowError::ComputeError("rows without their filter".into())),
                    [one] => one.clone(),
                    [one, ..] => concat_batches(&one.schema(), &taken)?,
                };
                joined.push(put_together(&asked, &other.slice(0, rows))?);
                other = other.slice(rows, other.num_rows() - rows);
            }
        }
        Ok(joined)
    }
}

fn slice_bytes(batch: &RecordBatch) -> std::result::Result<usize, ArrowError> {
    let bytes = batch.columns().iter().map(|array| array.to_data().get_slice_memory_size());
    bytes.sum()
}

/// The field at `place`, null where a struct on the way is.
fn field_at(batch: &RecordBatch, place: &[usize]) -> Result<ArrayRef> {
    let missing = || Error::bug("a column of the filter was not read");
    let (&first, below) = place.split_first().ok_or_else(missing)?;
    let mut array = batch.columns().get(first).ok_or_else(missing)?;
    let mut nulls: Option<NullBuffer> = None;
    for &next in below {
        let parent = array.as_struct_opt().ok_or_else(missing)?;
        nulls = NullBuffer::union(nulls.as_ref(), parent.nulls());
        array = parent.columns().get(next).ok_or_else(missing)?;
    }
    match nulls.filter(|nulls| nulls.null_count() > 0) {
        None => Ok(Arc::clone(array)),
        Some(nulls) => nullif(array, &BooleanArray::new(!nulls.inner(), None))
            .map_err(|e| Error::bug(format!("a field of the filter: {e}"))),
    }
}
