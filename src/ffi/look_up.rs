//! What a snapshot looks up when it is first asked for it.
//!
//! An answer may lie in parts of the log that the open did not need, so these
//! functions can wait and fail. What was found stays with the snapshot: the
//! texts that are lent out are copied once, and two questions get one answer.

use std::collections::BTreeMap;
use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

use super::handle;
use super::input::{self, SizedStruct};
use super::snapshot::{ENGINE_VERSION_NONE, Opened, engine_snapshot, missing};
use super::status::{engine_error, engine_status, produce, produce_or_end, produce_struct};
use super::text::{ColumnPath, Pairs, Text, engine_column_path, engine_property, engine_str};
use crate::error::{Error, Result, escaped};
use crate::properties::{Property, PropertyValue, TableProperties};
use crate::snapshot::{FileStatistics, Source};

/// What a time is where the log does not say it.
pub const ENGINE_TIME_NONE: i64 = i64::MIN;

/// What a count is where the log does not say it.
pub const ENGINE_COUNT_NONE: u64 = u64::MAX;

/// The answers that a snapshot has given.
#[derive(Default)]
pub(super) struct LookedUp {
    properties: OnceLock<BTreeMap<&'static str, Result<InForce>>>,
    domains: OnceLock<Pairs>,
    txns: OnceLock<Vec<LentTxn>>,
    clustering: OnceLock<Option<Vec<ColumnPath>>>,
    statistics: OnceLock<Option<FileStatistics>>,
}

struct LentTxn {
    app_id: Text,
    version: i64,
    last_updated_ms: i64,
}

/// What `answer` has; what `look` finds if it has nothing yet.
fn known_or<T>(answer: &OnceLock<T>, look: impl FnOnce() -> Result<T>) -> Result<&T> {
    if let Some(known) = answer.get() {
        return Ok(known);
    }
    let found = look()?;
    // Another thread may have been first, and its texts are lent out already.
    Ok(answer.get_or_init(|| found))
}

impl Opened {
    fn domains(&self) -> Result<&Pairs> {
        known_or(&self.looked_up.domains, || {
            let domains = self.snapshot.domain_metadata()?.iter();
            Ok(Pairs::new(domains.map(|(domain, text)| (domain.as_str(), text.as_str()))))
        })
    }

    /// In the order of the applications' ids.
    fn txns(&self) -> Result<&Vec<LentTxn>> {
        known_or(&self.looked_up.txns, || {
            let txns = self.snapshot.txns()?.into_iter().map(|(app_id, txn)| LentTxn {
                app_id: Text::new(app_id),
                version: txn.version,
                last_updated_ms: txn.last_updated.unwrap_or(ENGINE_TIME_NONE),
            });
            Ok(txns.collect())
        })
    }

    fn clustering_columns(&self) -> Result<Option<&Vec<ColumnPath>>> {
        let columns = known_or(&self.looked_up.clustering, || {
            let columns = self.snapshot.clustering_columns()?;
            Ok(columns.map(|columns| columns.iter().map(|path| ColumnPath::new(path)).collect()))
        })?;
        Ok(columns.as_ref())
    }
}

/// What a property's value is.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum engine_property_kind {
    /// There is no value: what a failed call leaves.
    None = 0,
    /// Number is 1 for true and 0 for false.
    Boolean,
    /// A whole number; bytes, where it is a size.
    Integer,
    /// A length of time: number has its microseconds.
    Interval,
    /// Text alone, such as a name or a list.
    Text,
}

/// The value in force of a table property.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct engine_property_value {
    /// What it is, which depends on the property and not on the table.
    pub kind: engine_property_kind,
    /// 1 where the table sets it; 0 where it is the default.
    pub is_set: i32,
    /// The value, where the kind is not text; else 0.
    pub number: i64,
    /// The value as the table or the default has it; but one of a few fixed
    /// words, such as a mode, is spelled as the protocol does, in whatever case
    /// the table has it.
    pub text: engine_str,
}

impl engine_property_value {
    const NONE: engine_property_value = engine_property_value {
        kind: engine_property_kind::None,
        is_set: 0,
        number: 0,
        text: engine_str::NONE,
    };
}

/// A known property's value, and its text.
struct InForce {
    value: engine_property_value,
    _text: Text,
}

impl InForce {
    fn new(property: &Property, text: &str, is_set: bool) -> Result<InForce> {
        use engine_property_kind as Kind;
        let parsed = property.parse(text)?;
        let (kind, number, text) = match &parsed {
            PropertyValue::Boolean(value) => (Kind::Boolean, i64::from(*value), text),
            PropertyValue::Integer(value) => (Kind::Integer, *value, text),
            PropertyValue::Interval { micros } => (Kind::Interval, *micros, text),
            PropertyValue::Text(word) => (Kind::Text, 0, word.as_str()),
            PropertyValue::List(_) | PropertyValue::Columns(_) => (Kind::Text, 0, text),
        };
        let text = Text::new(text);
        let is_set = is_set.into();
        let value = engine_property_value { kind, is_set, number, text: text.as_str() };
        Ok(InForce { value, _text: text })
    }

    /// Every property of `known` that has a value, or what is wrong with it.
    fn all(known: TableProperties<'_>) -> BTreeMap<&'static str, Result<InForce>> {
        let in_force = known.iter().filter_map(|known| {
            let value = InForce::new(known.property, known.value?, known.is_set);
            Some((known.property.name, value))
        });
        in_force.collect()
    }
}

/// The value in force of a property that Delta knows by name, in whatever case:
/// the table's, else the default. What it gives for "delta.appendOnly" of a
/// table that does not set it is false.
///
/// ENGINE_STATUS_NOT_FOUND: no such property is known, whether the table sets
/// it or not; or the table does not set it, and it has no default.
/// ENGINE_STATUS_CORRUPT_LOG: the table sets it to what is no value of its
/// kind. Nothing is read for it.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_property_in_force(
    snapshot: Option<&engine_snapshot>,
    key: *const c_char,
    out: Option<&mut MaybeUninit<engine_property_value>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    produce(out, engine_property_value::NONE, error, || {
        // SAFETY: NULL, or a C string that lives during the call: the header
        // asks for it.
        let key = unsafe { input::text(key, "key") }?;
        handle::on(snapshot, |opened| {
            let properties = opened.snapshot.properties();
            let Some(known) = properties.named(key) else {
                return Err(Error::not_found(format!(
                    "no table property is known by the name \"{}\"",
                    escaped(key)
                )));
            };
            let all = opened.looked_up.properties.get_or_init(|| InForce::all(properties));
            match all.get(known.property.name) {
                Some(Ok(in_force)) => Ok(in_force.value),
                Some(Err(e)) => Err(e.clone()),
                None => Err(Error::not_found(format!(
                    "the table does not set {}, which has no default",
                    known.property.name
                ))),
            }
        })
    })
}

/// What an application last committed: the txn action.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct engine_txn {
    /// The application's id.
    pub app_id: engine_str,
    /// The version that it last committed, by its own count.
    pub version: i64,
    /// When: milliseconds since 1970 in UTC; ENGINE_TIME_NONE where the log
    /// does not say.
    pub last_updated_ms: i64,
}

/// The version that the application app_id last committed, by its own count:
/// the txn action. ENGINE_STATUS_NOT_FOUND: it never has, or that has expired.
///
/// Like the domains, these may lie in old parts of the log that the open did
/// not need, so the first question can take as long as a scan. It also decides
/// which have expired, where the table sets
/// delta.setTransactionRetentionDuration.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_txn_version(
    snapshot: Option<&engine_snapshot>,
    app_id: *const c_char,
    out: Option<&mut MaybeUninit<i64>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    produce(out, 0, error, || {
        // SAFETY: NULL, or a C string that lives during the call: the header
        // asks for it.
        let app_id = unsafe { input::text(app_id, "app_id") }?;
        handle::on(snapshot, |opened| {
            let txns = opened.txns()?;
            match txns.binary_search_by(|txn| txn.app_id.bytes().cmp(app_id.as_bytes())) {
                Ok(at) => Ok(txns[at].version),
                Err(_) => Err(missing("txn of application", app_id)),
            }
        })
    })
}

/// What one application last committed, in the order of their ids; else as
/// engine_snapshot_txn_version. ENGINE_STATUS_END: there are not so many.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_txn_at(
    snapshot: Option<&engine_snapshot>,
    index: usize,
    out: Option<&mut MaybeUninit<engine_txn>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    let none = engine_txn { app_id: engine_str::NONE, version: 0, last_updated_ms: 0 };
    produce_or_end(out, none, error, || {
        handle::on(snapshot, |opened| {
            Ok(opened.txns()?.get(index).map(|txn| engine_txn {
                app_id: txn.app_id.as_str(),
                version: txn.version,
                last_updated_ms: txn.last_updated_ms,
            }))
        })
    })
}

/// The configuration of a metadata domain: text whose form is the domain's own
/// affair. ENGINE_STATUS_NOT_FOUND: there is none, or it was removed.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_domain_metadata(
    snapshot: Option<&engine_snapshot>,
    domain: *const c_char,
    out: Option<&mut MaybeUninit<engine_str>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    produce(out, engine_str::NONE, error, || {
        // SAFETY: NULL, or a C string that lives during the call: the header
        // asks for it.
        let domain = unsafe { input::text(domain, "domain") }?;
        handle::on(snapshot, |opened| {
            opened.domains()?.value(domain).ok_or_else(|| missing("metadata domain", domain))
        })
    })
}

/// One metadata domain, by its name and configuration, in the order of the
/// names. ENGINE_STATUS_END: there are not so many.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_domain_at(
    snapshot: Option<&engine_snapshot>,
    index: usize,
    out: Option<&mut MaybeUninit<engine_property>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    produce_or_end(out, engine_property::NONE, error, || {
        handle::on(snapshot, |opened| Ok(opened.domains()?.at(index)))
    })
}

/// One of the columns that the table is clustered by, in their order, by
/// logical names. ENGINE_STATUS_END: there are not so many.
/// ENGINE_STATUS_NOT_FOUND: the table is not clustered.
/// ENGINE_STATUS_CORRUPT_LOG: its schema has no such column. It is a domain:
/// the first question can take as long as a scan.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_clustering_column_at(
    snapshot: Option<&engine_snapshot>,
    index: usize,
    out: Option<&mut MaybeUninit<engine_column_path>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    produce_or_end(out, engine_column_path::NONE, error, || {
        handle::on(snapshot, |opened| match opened.clustering_columns()? {
            Some(columns) => Ok(columns.get(index).map(ColumnPath::lent)),
            None => Err(Error::not_found("the table is not clustered")),
        })
    })
}

/// The highest row id that was given out. ENGINE_STATUS_NOT_FOUND: the table
/// tracks no rows. It is a domain: the first question can take as long as a
/// scan.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_row_id_high_water_mark(
    snapshot: Option<&engine_snapshot>,
    out: Option<&mut MaybeUninit<i64>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    produce(out, 0, error, || {
        handle::on(snapshot, |opened| {
            let highest = opened.snapshot.row_id_high_water_mark()?;
            highest.ok_or_else(|| Error::not_found("the table tracks no rows"))
        })
    })
}

/// Numbers and sizes of a version's live files, as its writer counted them.
/// Set struct_size to sizeof(engine_file_statistics) before the call. What the
/// pointers point to belongs to the snapshot.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct engine_file_statistics {
    /// sizeof(engine_file_statistics), so that the struct can grow.
    pub struct_size: usize,
    /// The live files.
    pub num_files: u64,
    /// The bytes of all live files together.
    pub size_bytes: u64,
    /// The deletion vectors of the live files; ENGINE_COUNT_NONE where the
    /// writer does not count them.
    pub num_deletion_vectors: u64,
    /// The rows that those deletion vectors delete; ENGINE_COUNT_NONE where
    /// the writer does not count them.
    pub num_deleted_records: u64,
    /// How many bins the histogram of file sizes has, which are items of each
    /// of the three lists below; 0 where the writer keeps none.
    pub size_bins_len: usize,
    /// The smallest size, in bytes, of each bin's files: ascending, from 0. A
    /// bin ends before the next begins; the last has no end.
    pub size_bin_boundaries: *const u64,
    /// The number of files of each bin.
    pub size_bin_files: *const u64,
    /// The bytes of each bin's files together.
    pub size_bin_bytes: *const u64,
    /// Ten numbers: of files with no deleted row, with 1 to 9, 10 to 99 and so
    /// on in powers of ten to 9,999,999, then to 2,147,483,646, then more. NULL
    /// where the writer does not count them.
    pub deleted_record_counts: *const u64,
}

// SAFETY: repr(C) with struct_size first.
unsafe impl SizedStruct for engine_file_statistics {
    const NAME: &'static str = "engine_file_statistics";
    const ZERO: Self = engine_file_statistics {
        struct_size: 0,
        num_files: 0,
        size_bytes: 0,
        num_deletion_vectors: 0,
        num_deleted_records: 0,
        size_bins_len: 0,
        size_bin_boundaries: std::ptr::null(),
        size_bin_files: std::ptr::null(),
        size_bin_bytes: std::ptr::null(),
        deleted_record_counts: std::ptr::null(),
    };
}

/// Numbers and sizes of the live files, from the version's checksum; no file
/// action is read. As many bytes of *out are written as its struct_size says.
///
/// ENGINE_STATUS_NOT_FOUND: this version has no checksum, as most have not, or
/// one that cannot be read. A scan adds them up.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_file_statistics(
    snapshot: Option<&engine_snapshot>,
    out: *mut engine_file_statistics,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    let read = || {
        handle::on(snapshot, |opened| {
            let statistics = &opened.looked_up.statistics;
            let statistics = statistics.get_or_init(|| opened.snapshot.file_statistics());
            statistics.as_ref().map(lent_statistics).ok_or_else(|| {
                Error::not_found(format!(
                    "version {} has no checksum that can be read",
                    opened.snapshot.version()
                ))
            })
        })
    };
    // SAFETY: NULL, or a struct that says its size: the header asks for it.
    unsafe { produce_struct(out, error, read) }
}

fn lent_statistics(statistics: &FileStatistics) -> engine_file_statistics {
    let mut lent = engine_file_statistics {
        struct_size: size_of::<engine_file_statistics>(),
        num_files: statistics.num_files,
        size_bytes: statistics.size_bytes,
        num_deletion_vectors: statistics.num_deletion_vectors.unwrap_or(ENGINE_COUNT_NONE),
        num_deleted_records: statistics.num_deleted_records.unwrap_or(ENGINE_COUNT_NONE),
        ..engine_file_statistics::ZERO
    };
    if let Some(histogram) = &statistics.size_histogram {
        lent.size_bins_len = histogram.sorted_bin_boundaries.len();
        lent.size_bin_boundaries = histogram.sorted_bin_boundaries.as_ptr();
        lent.size_bin_files = histogram.file_counts.as_ptr();
        lent.size_bin_bytes = histogram.total_bytes.as_ptr();
    }
    if let Some(counts) = &statistics.deleted_record_counts {
        lent.deleted_record_counts = counts.as_ptr();
    }
    lent
}

/// Where a part of a snapshot was found.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum engine_source_kind {
    /// Nowhere yet: it was not asked for.
    None = 0,
    /// In the commit of the version.
    Commit,
    /// In the compaction of commits up to the version.
    Compaction,
    /// In the checksum of the version.
    Checksum,
    /// In the checkpoint of the version.
    Checkpoint,
    /// In several of them, or in none: what is not there has been looked for
    /// down to where the log begins.
    Replay,
}

/// Where a part of a snapshot was found, and in which version.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct engine_source {
    /// In what.
    pub kind: engine_source_kind,
    /// Of which version; ENGINE_VERSION_NONE where the kind says none.
    pub version: u64,
}

/// Where a snapshot's parts come from, and what reading it has cost so far. Set
/// struct_size to sizeof(engine_origin) before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct engine_origin {
    /// sizeof(engine_origin), so that the struct can grow.
    pub struct_size: usize,
    /// Where the protocol was found.
    pub protocol: engine_source,
    /// Where the metadata was found.
    pub metadata: engine_source,
    /// Where the metadata domains were found.
    pub domain_metadata: engine_source,
    /// Where the transaction identifiers were found.
    pub txns: engine_source,
    /// The version of the checkpoint that the files are read from;
    /// ENGINE_VERSION_NONE if there is none.
    pub checkpoint_version: u64,
    /// The version of the newest checksum; ENGINE_VERSION_NONE if there is
    /// none.
    pub checksum_version: u64,
    /// How many commits there are after the checkpoint, compacted ones
    /// included.
    pub commits: u64,
    /// How many compactions can stand for some of them.
    pub compactions: u64,
    /// Files read, whole or in part, scans included.
    pub files_read: u64,
    /// Bytes read, scans included.
    pub bytes_read: u64,
}

impl engine_source {
    const NONE: engine_source =
        engine_source { kind: engine_source_kind::None, version: ENGINE_VERSION_NONE };

    fn new(source: Source) -> Self {
        let (kind, version) = match source {
            Source::Commit(version) => (engine_source_kind::Commit, version),
            Source::Compaction(version) => (engine_source_kind::Compaction, version),
            Source::Checksum(version) => (engine_source_kind::Checksum, version),
            Source::Checkpoint(version) => (engine_source_kind::Checkpoint, version),
            Source::Replay => (engine_source_kind::Replay, ENGINE_VERSION_NONE),
        };
        engine_source { kind, version }
    }
}

// SAFETY: repr(C) with struct_size first.
unsafe impl SizedStruct for engine_origin {
    const NAME: &'static str = "engine_origin";
    const ZERO: Self = {
        let zero = engine_source { kind: engine_source_kind::None, version: 0 };
        engine_origin {
            struct_size: 0,
            protocol: zero,
            metadata: zero,
            domain_metadata: zero,
            txns: zero,
            checkpoint_version: 0,
            checksum_version: 0,
            commits: 0,
            compactions: 0,
            files_read: 0,
            bytes_read: 0,
        }
    };
}

/// Where a snapshot's parts come from, and what reading it has cost so far; it
/// looks for nothing itself. As many bytes of *out are written as its
/// struct_size says.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_origin(
    snapshot: Option<&engine_snapshot>,
    out: *mut engine_origin,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    let read = || {
        let origin = handle::on(snapshot, |opened| Ok(opened.snapshot.origin()))?;
        let source =
            |source: Option<Source>| source.map_or(engine_source::NONE, engine_source::new);
        Ok(engine_origin {
            struct_size: size_of::<engine_origin>(),
            protocol: engine_source::new(origin.protocol),
            metadata: engine_source::new(origin.metadata),
            domain_metadata: source(origin.domain_metadata),
            txns: source(origin.txns),
            checkpoint_version: origin.checkpoint.unwrap_or(ENGINE_VERSION_NONE),
            checksum_version: origin.checksum.unwrap_or(ENGINE_VERSION_NONE),
            commits: origin.commits as u64,
            compactions: origin.compactions as u64,
            files_read: origin.files_read,
            bytes_read: origin.bytes_read,
        })
    };
    // SAFETY: NULL, or a struct that says its size: the header asks for it.
    unsafe { produce_struct(out, error, read) }
}
