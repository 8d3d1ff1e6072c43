/*
 * delta_engine.h - reads Delta Lake tables: which files make up a version.
 *
 *     engine *engine = NULL;                  one for the process
 *     engine_snapshot *snapshot = NULL;       one version of one table
 *     engine_scan *scan = NULL;               what to read of it
 *     engine_stream *stream = NULL;           Arrow batches, one row a file
 *     struct ArrowArray batch;
 *
 *     engine_new(NULL, &engine, &error);
 *     engine_snapshot_open(engine, "/data/table", &snapshot, &error);
 *     engine_scan_new(snapshot, NULL, &scan, &error);
 *     engine_scan_files(scan, &stream, &error);
 *     while ((status = engine_next_batch(stream, &batch, &error)) == ENGINE_STATUS_OK) {
 *         ...
 *         batch.release(&batch);
 *     }
 *
 * A scan is told which rows are wanted in SQL, by the field where of its options
 * (ffi-tests/predicate.c); files that cannot have any are left out.
 * ffi-tests/list_files.c is that program in full; include/delta_engine.hpp
 * wraps the same in C++17. A snapshot never changes: engine_snapshot_refresh
 * makes one of the table as it is later, for the price of what is new
 * (ffi-tests/refresh.c). Link libdelta_engine.so, or libdelta_engine.a with
 * -lpthread -ldl -lm. These conventions hold for every function:
 *
 * Names. The object, then the verb. _new and _open make a handle, and the
 * _free of the same object frees it; nothing else takes a handle away. Freeing
 * NULL does nothing. Handles can be freed in any order: what a scan needs of
 * its snapshot, or a batch of its stream, stays until the last of them goes.
 *
 * Answers. What can fail returns an engine_status; zero is success. The out
 * parameter is written in any case: on failure a handle is NULL, an Arrow
 * struct has release == NULL, a number is 0. What it held before is not freed.
 * An _at function that may have to read, and so can fail, answers
 * ENGINE_STATUS_END for an index behind the last one.
 * The last parameter is an optional engine_error of the caller's, which gets
 * the text; NULL if you do not want it. A getter that cannot fail returns its
 * value, and an empty one (0, or data == NULL) if it is given NULL or another
 * kind of handle.
 *
 * Streams. ENGINE_STATUS_END is not an error. After the end comes the end
 * again, and after a failure the same failure: a list is complete, or the
 * stream failed.
 *
 * Threads. Every function may be called from any thread. An engine, a
 * snapshot, a predicate and a scan may be used by several at once; so may a
 * stream for what takes a const engine_stream. Of two threads that ask one stream for a batch
 * at the same time, the second gets ENGINE_STATUS_MISUSE. A handle must not be
 * used by one thread while another frees it; engine_stream_free says where
 * that is allowed.
 *
 * Misuse. NULL for a required parameter is ENGINE_STATUS_INVALID_ARGUMENT; a
 * handle of another kind is ENGINE_STATUS_MISUSE, and is not freed by the
 * wrong _free. A handle that was freed is a dangling pointer, as everywhere
 * in C.
 *
 * Strings. Those you give are NUL-terminated UTF-8 of at most 64 KiB (SQL: 1 MiB),
 * and are copied. Those you get (engine_str) belong to the handle you asked, as does
 * all else that a pointer in a struct you get points to.
 *
 * Structs that can grow begin with size_t struct_size: set it to the sizeof of
 * the struct, and all other fields to zero first; zero means the default. A
 * program compiled with an older header works with a newer library, and the
 * other way round unless it sets a field that the library does not have.
 *
 * Defects. If the library fails inside, the call answers ENGINE_STATUS_BUG and
 * so does every later call on that snapshot, scan or stream; others are not
 * affected, and it can still be freed.
 *
 * Fork. Handles do not work in a child process: calls that do more than read
 * memory answer ENGINE_STATUS_MISUSE there, and frees do nothing. The child
 * may make its own engine.
 *
 * Unloading. Before dlclose, free all handles and release all Arrow structs:
 * their release functions are inside the library.
 *
 * The word engine means this library's pool of workers, not the interface of
 * that name in Delta Kernel.
 */


#ifndef DELTA_ENGINE_H
#define DELTA_ENGINE_H

/* Made from src/ffi by cbindgen: edit there. */

#include <stddef.h>
#include <stdint.h>
#include "delta_engine_arrow.h"

/*
 The version of this header's promises. It changes when a program compiled
 with the older header would no longer work; compare it with
 engine_abi_version() when the library is loaded at run time.
 */
#define ENGINE_ABI_VERSION 1

/*
 The bytes of an engine_error's message, the final NUL included.
 */
#define ENGINE_ERROR_MESSAGE_SIZE 1024

/*
 The workers of a stream: none, so that everything runs on the thread that
 calls. For the fields named threads, where 0 means the default.
 */
#define ENGINE_THREADS_NONE -1

/*
 A flag of engine_snapshot_options: the version that the field version says,
 instead of the latest.
 */
#define ENGINE_SNAPSHOT_AT_VERSION 1

/*
 A flag of engine_snapshot_options: the latest version that was committed at
 or before timestamp_ms, of those up to version if that is given too.

 A version was committed at its in-commit timestamp where the table has them,
 and at its commit file's modification time before; one that is not later than
 that of the version before counts as a millisecond later than that. A time
 before the first version in reach is ENGINE_STATUS_NOT_FOUND, and so is one
 after the latest version.
 */
#define ENGINE_SNAPSHOT_AT_TIMESTAMP 2

/*
 A flag of engine_snapshot_options: the table is catalog-managed, and the
 fields that begin with catalog have what its catalog says. Such a table is
 refused without it, and any other table with it.
 */
#define ENGINE_SNAPSHOT_WITH_CATALOG 4

/*
 What engine_snapshot_version gives for something that is not a snapshot. No
 table has this version.
 */
#define ENGINE_VERSION_NONE UINT64_MAX

/*
 What a time is where the log does not say it.
 */
#define ENGINE_TIME_NONE INT64_MIN

/*
 What a count is where the log does not say it.
 */
#define ENGINE_COUNT_NONE UINT64_MAX

/*
 A flag of engine_scan_options: where one commit adds and removes the same
 file, which the protocol forbids, the last of the two wins, as in Spark.
 Without it such a commit is ENGINE_STATUS_CORRUPT_LOG.
 */
#define ENGINE_SCAN_LAST_ACTION_WINS 1

/*
 A flag of engine_scan_options: where a complete listing disagrees with what
 the table itself says of this version (its checksum: number and bytes of the
 files, protocol and metadata; or what is said of its checkpoint), that is an
 event of level warning. Without it the stream ends with
 ENGINE_STATUS_CORRUPT_LOG in place of its end.
 */
#define ENGINE_SCAN_DISAGREEMENTS_WARN 2

/*
 A flag of engine_scan_options: engine_scan_rows and engine_scan_change_rows give
 their batches as they are decoded, in another order each time, and one that takes
 long holds up no other.
 */
#define ENGINE_SCAN_UNORDERED 4

/*
 A flag of engine_scan_options: engine_scan_rows and engine_scan_change_rows may
 read data files and deletion vectors outside the table's root, by absolute paths
 of the local file system; a shallow clone has them. The log then names any file that this process
 may read. Without it they are ENGINE_STATUS_UNSUPPORTED.
 */
#define ENGINE_SCAN_READS_OUTSIDE_ROOT 8

/*
 A flag of engine_scan_options: engine_scan_rows and engine_scan_change_rows give all
 rows of what they have to decode, for a host that filters them itself: files, row
 groups and pages without a wanted row are left out, as far as that is known.
 */
#define ENGINE_SCAN_WHOLE_FILES 16

/*
 How a call ended, sorted by who must act. Zero is success.
 */
typedef enum engine_status {
    /*
     It worked; the out parameters are written.
     */
    ENGINE_STATUS_OK = 0,
    /*
     The stream has ended: not an error. Every later call says so again.
     */
    ENGINE_STATUS_END,
    /*
     The table's log breaks the protocol: look at its writer.
     */
    ENGINE_STATUS_CORRUPT_LOG,
    /*
     Bytes could not be read: permissions, a vanished file, a failing disk.
     */
    ENGINE_STATUS_STORAGE,
    /*
     The table needs a feature that this library does not read.
     */
    ENGINE_STATUS_UNSUPPORTED,
    /*
     No such table, version, column or key.
     */
    ENGINE_STATUS_NOT_FOUND,
    /*
     A value given by the caller makes no sense.
     */
    ENGINE_STATUS_INVALID_ARGUMENT,
    /*
     The caller broke a rule of use, such as two threads in one stream.
     */
    ENGINE_STATUS_MISUSE,
    /*
     The stream was cancelled.
     */
    ENGINE_STATUS_CANCELLED,
    /*
     The time given has passed; the same call may be made again.
     */
    ENGINE_STATUS_TIMEOUT,
    /*
     A limit that protects the process was reached.
     */
    ENGINE_STATUS_LIMIT_EXCEEDED,
    /*
     A defect of this library: please report it with the message.
     */
    ENGINE_STATUS_BUG,
} engine_status;

/*
 How loud an event is.
 */
typedef enum engine_event_level {
    /*
     For whoever debugs the host.
     */
    ENGINE_EVENT_LEVEL_DEBUG = 0,
    /*
     A step worth a line in a log.
     */
    ENGINE_EVENT_LEVEL_INFO,
    /*
     Something odd that was survived, such as an incomplete checkpoint.
     */
    ENGINE_EVENT_LEVEL_WARNING,
} engine_event_level;

/*
 What a property's value is.
 */
typedef enum engine_property_kind {
    /*
     There is no value: what a failed call leaves.
     */
    ENGINE_PROPERTY_KIND_NONE = 0,
    /*
     Number is 1 for true and 0 for false.
     */
    ENGINE_PROPERTY_KIND_BOOLEAN,
    /*
     A whole number; bytes, where it is a size.
     */
    ENGINE_PROPERTY_KIND_INTEGER,
    /*
     A length of time: number has its microseconds.
     */
    ENGINE_PROPERTY_KIND_INTERVAL,
    /*
     Text alone, such as a name or a list.
     */
    ENGINE_PROPERTY_KIND_TEXT,
} engine_property_kind;

/*
 Where a part of a snapshot was found.
 */
typedef enum engine_source_kind {
    /*
     Nowhere yet: it was not asked for.
     */
    ENGINE_SOURCE_KIND_NONE = 0,
    /*
     In the commit of the version.
     */
    ENGINE_SOURCE_KIND_COMMIT,
    /*
     In the compaction of commits up to the version.
     */
    ENGINE_SOURCE_KIND_COMPACTION,
    /*
     In the checksum of the version.
     */
    ENGINE_SOURCE_KIND_CHECKSUM,
    /*
     In the checkpoint of the version.
     */
    ENGINE_SOURCE_KIND_CHECKPOINT,
    /*
     In several of them, or in none: what is not there has been looked for
     down to where the log begins.
     */
    ENGINE_SOURCE_KIND_REPLAY,
} engine_source_kind;

/*
 The kinds of an engine_value.
 */
typedef enum engine_value_kind {
    /*
     SQL's null.
     */
    ENGINE_VALUE_KIND_NULL = 0,
    /*
     number, which is 0 for false, and anything else for true.
     */
    ENGINE_VALUE_KIND_BOOLEAN,
    /*
     number, for a column of any type of numbers.
     */
    ENGINE_VALUE_KIND_LONG,
    /*
     real, for a column of any type of numbers.
     */
    ENGINE_VALUE_KIND_DOUBLE,
    /*
     The whole number of 128 bits of which number is the lower half and high the
     upper one, divided by 10 to the power of scale.
     */
    ENGINE_VALUE_KIND_DECIMAL,
    /*
     len bytes of UTF-8 at data. For a column of another type it is read as a value
     of that type, as the log spells partition values.
     */
    ENGINE_VALUE_KIND_STRING,
    /*
     len bytes at data.
     */
    ENGINE_VALUE_KIND_BINARY,
    /*
     number: days since 1970-01-01.
     */
    ENGINE_VALUE_KIND_DATE,
    /*
     number: microseconds since 1970 in UTC.
     */
    ENGINE_VALUE_KIND_TIMESTAMP,
    /*
     number: microseconds of a wall clock since its 1970-01-01 00:00.
     */
    ENGINE_VALUE_KIND_TIMESTAMP_NTZ,
} engine_value_kind;

/*
 How a column is compared with a value.
 */
typedef enum engine_comparison {
    /*
     =
     */
    ENGINE_COMPARISON_EQUAL = 0,
    /*
     <>
     */
    ENGINE_COMPARISON_NOT_EQUAL,
    /*
     <
     */
    ENGINE_COMPARISON_LESS,
    /*
     <=
     */
    ENGINE_COMPARISON_LESS_OR_EQUAL,
    /*
     >
     */
    ENGINE_COMPARISON_GREATER,
    /*
     >=
     */
    ENGINE_COMPARISON_GREATER_OR_EQUAL,
    /*
     IS DISTINCT FROM: never null, and null is distinct from all but null.
     */
    ENGINE_COMPARISON_DISTINCT,
    /*
     IS NOT DISTINCT FROM
     */
    ENGINE_COMPARISON_NOT_DISTINCT,
} engine_comparison;

/*
 A pool of workers and the defaults of its streams. One for a process is
 enough; it may be used by any number of threads at once.
 */
typedef struct engine engine;

/*
 A condition on rows: those for which it is true are wanted, not those for which
 it is false or null. It knows no table, does not change, and any number of
 threads may use it at once.
 */
typedef struct engine_predicate engine_predicate;

/*
 What to read of a snapshot, and how. It does not change, and any number of
 threads may use it at once.
 */
typedef struct engine_scan engine_scan;

/*
 One version of one table. It does not change, and any number of threads may
 use it at once.
 */
typedef struct engine_snapshot engine_snapshot;

/*
 Batches, in an order that does not depend on the number of workers. One
 thread at a time may ask for the next one; any thread may cancel it or read
 its progress meanwhile.
 */
typedef struct engine_stream engine_stream;

/*
 Told of events, for the host's log: one line of UTF-8, valid during the
 call only. It may be called from any thread, the library's own included,
 and from several at once. It must not call the library: such a call is
 refused with ENGINE_STATUS_MISUSE, and such a free does nothing. It must
 not leave by longjmp. A C++ exception that leaves it ends the process.
 */
typedef void (*engine_event_callback)(void *user_data,
                                      enum engine_event_level level,
                                      const char *message);

/*
 Settings of an engine. Set struct_size to sizeof(engine_options) and all
 else to zero, then what you want to be different.
 */
typedef struct engine_options {
    /*
     sizeof(engine_options), so that the struct can grow.
     */
    size_t struct_size;
    /*
     Workers that decode, at most 1024: 0 is one for each core this process
     may use, and none for a table that is decoded before a thread has
     started; ENGINE_THREADS_NONE is none, so that everything runs on the
     thread that calls.
     */
    int64_t threads;
    /*
     The most bytes that a stream holds decoded and not yet delivered: 0 is
     32 MiB.
     */
    uint64_t window_bytes;
    /*
     Told of events; NULL for silence.
     */
    engine_event_callback on_event;
    /*
     Given to on_event as it is. It must stay valid until the engine and all
     that came from it are freed.
     */
    void *user_data;
} engine_options;

/*
 What went wrong, for a person. The caller owns it, on the stack if it
 likes: the library allocates nothing for it and keeps no pointer to it. It
 need not be initialised before a call.
 */
typedef struct engine_error {
    /*
     The same value that the call returned.
     */
    enum engine_status status;
    /*
     UTF-8, always NUL-terminated, and cut between two characters when the
     text is longer. Empty after ENGINE_STATUS_OK and ENGINE_STATUS_END. It
     names the file and never shows a credential; control characters that
     came from a table are escaped.
     */
    char message[ENGINE_ERROR_MESSAGE_SIZE];
} engine_error;

/*
 A ratified commit, as the catalog of a catalog-managed table knows it: a
 staged file if staged_name is set, what is at content if that is set, and
 else the file that every table has for this version.
 */
typedef struct engine_catalog_commit {
    /*
     Its version; that of a staged commit stands in its name as well.
     */
    uint64_t version;
    /*
     The name of a file in _delta_log/_staged_commits, with or without that
     directory; or NULL.
     */
    const char *staged_name;
    /*
     What a file of the commit would have: lines of JSON. Or NULL.
     */
    const void *content;
    /*
     How many bytes content has.
     */
    size_t content_len;
} engine_catalog_commit;

/*
 Which version of a table. Set struct_size to sizeof(engine_snapshot_options)
 and all else to zero, which is the latest; then what you want to be
 different. A field counts only with its flag, and must be zero without it.
 */
typedef struct engine_snapshot_options {
    /*
     sizeof(engine_snapshot_options), so that the struct can grow.
     */
    size_t struct_size;
    /*
     ENGINE_SNAPSHOT_ flags, or-ed together.
     */
    uint64_t flags;
    /*
     The version, with ENGINE_SNAPSHOT_AT_VERSION.
     */
    uint64_t version;
    /*
     Milliseconds since 1970 in UTC, with ENGINE_SNAPSHOT_AT_TIMESTAMP.
     */
    int64_t timestamp_ms;
    /*
     The latest version that the catalog ratified, with
     ENGINE_SNAPSHOT_WITH_CATALOG.
     */
    uint64_t catalog_version;
    /*
     The ratified commits that the catalog knows of, oldest first, without a
     gap, up to catalog_version at the most: with
     ENGINE_SNAPSHOT_WITH_CATALOG. They count in place of what is published.
     All of it is copied.
     */
    const struct engine_catalog_commit *catalog_commits;
    /*
     How many items catalog_commits has; 0 if all are published.
     */
    size_t catalog_commits_len;
} engine_snapshot_options;

/*
 A borrowed string: UTF-8, and NUL-terminated as well (the NUL is not
 counted). It belongs to the handle it was asked of and is valid until that
 handle is freed. data is NULL where there is no such string; an empty
 string has data and the length 0. A NUL inside is possible, since JSON
 allows it: then len tells the truth.
 */
typedef struct engine_str {
    /*
     The bytes, or NULL.
     */
    const char *data;
    /*
     How many, without the final NUL.
     */
    size_t len;
} engine_str;

/*
 A key and its value.
 */
typedef struct engine_property {
    /*
     The key.
     */
    struct engine_str key;
    /*
     The value.
     */
    struct engine_str value;
} engine_property;

/*
 What a table asks of its readers and writers: the protocol action.
 */
typedef struct engine_protocol {
    /*
     minReaderVersion.
     */
    int32_t min_reader_version;
    /*
     minWriterVersion.
     */
    int32_t min_writer_version;
    /*
     How many reader features engine_snapshot_reader_feature_at has.
     */
    size_t reader_feature_count;
    /*
     How many writer features engine_snapshot_writer_feature_at has.
     */
    size_t writer_feature_count;
} engine_protocol;

/*
 The value in force of a table property.
 */
typedef struct engine_property_value {
    /*
     What it is, which depends on the property and not on the table.
     */
    enum engine_property_kind kind;
    /*
     1 where the table sets it; 0 where it is the default.
     */
    int32_t is_set;
    /*
     The value, where the kind is not text; else 0.
     */
    int64_t number;
    /*
     The value as the table or the default has it; but one of a few fixed
     words, such as a mode, is spelled as the protocol does, in whatever case
     the table has it.
     */
    struct engine_str text;
} engine_property_value;

/*
 What an application last committed: the txn action.
 */
typedef struct engine_txn {
    /*
     The application's id.
     */
    struct engine_str app_id;
    /*
     The version that it last committed, by its own count.
     */
    int64_t version;
    /*
     When: milliseconds since 1970 in UTC; ENGINE_TIME_NONE where the log
     does not say.
     */
    int64_t last_updated_ms;
} engine_txn;

/*
 The way to a column: its name, or those of the structs that it lies in,
 outermost first, and then its own. It belongs to the handle it was asked of.
 */
typedef struct engine_column_path {
    /*
     The names, or NULL.
     */
    const struct engine_str *names;
    /*
     How many.
     */
    size_t names_len;
} engine_column_path;

/*
 Numbers and sizes of a version's live files, as its writer counted them.
 Set struct_size to sizeof(engine_file_statistics) before the call. What the
 pointers point to belongs to the snapshot.
 */
typedef struct engine_file_statistics {
    /*
     sizeof(engine_file_statistics), so that the struct can grow.
     */
    size_t struct_size;
    /*
     The live files.
     */
    uint64_t num_files;
    /*
     The bytes of all live files together.
     */
    uint64_t size_bytes;
    /*
     The deletion vectors of the live files; ENGINE_COUNT_NONE where the
     writer does not count them.
     */
    uint64_t num_deletion_vectors;
    /*
     The rows that those deletion vectors delete; ENGINE_COUNT_NONE where
     the writer does not count them.
     */
    uint64_t num_deleted_records;
    /*
     How many bins the histogram of file sizes has, which are items of each
     of the three lists below; 0 where the writer keeps none.
     */
    size_t size_bins_len;
    /*
     The smallest size, in bytes, of each bin's files: ascending, from 0. A
     bin ends before the next begins; the last has no end.
     */
    const uint64_t *size_bin_boundaries;
    /*
     The number of files of each bin.
     */
    const uint64_t *size_bin_files;
    /*
     The bytes of each bin's files together.
     */
    const uint64_t *size_bin_bytes;
    /*
     Ten numbers: of files with no deleted row, with 1 to 9, 10 to 99 and so
     on in powers of ten to 9,999,999, then to 2,147,483,646, then more. NULL
     where the writer does not count them.
     */
    const uint64_t *deleted_record_counts;
} engine_file_statistics;

/*
 Where a part of a snapshot was found, and in which version.
 */
typedef struct engine_source {
    /*
     In what.
     */
    enum engine_source_kind kind;
    /*
     Of which version; ENGINE_VERSION_NONE where the kind says none.
     */
    uint64_t version;
} engine_source;

/*
 Where a snapshot's parts come from, and what reading it has cost so far. Set
 struct_size to sizeof(engine_origin) before the call.
 */
typedef struct engine_origin {
    /*
     sizeof(engine_origin), so that the struct can grow.
     */
    size_t struct_size;
    /*
     Where the protocol was found.
     */
    struct engine_source protocol;
    /*
     Where the metadata was found.
     */
    struct engine_source metadata;
    /*
     Where the metadata domains were found.
     */
    struct engine_source domain_metadata;
    /*
     Where the transaction identifiers were found.
     */
    struct engine_source txns;
    /*
     The version of the checkpoint that the files are read from;
     ENGINE_VERSION_NONE if there is none.
     */
    uint64_t checkpoint_version;
    /*
     The version of the newest checksum; ENGINE_VERSION_NONE if there is
     none.
     */
    uint64_t checksum_version;
    /*
     How many commits there are after the checkpoint, compacted ones
     included.
     */
    uint64_t commits;
    /*
     How many compactions can stand for some of them.
     */
    uint64_t compactions;
    /*
     Files read, whole or in part, scans included.
     */
    uint64_t files_read;
    /*
     Bytes read, scans included.
     */
    uint64_t bytes_read;
} engine_origin;

/*
 A value that a column is compared with. Set kind, and the fields that
 engine_value_kind names for it; the others are not looked at. What data points to
 is copied.
 */
typedef struct engine_value {
    /*
     One of engine_value_kind.
     */
    int kind;
    /*
     Of ENGINE_VALUE_KIND_DECIMAL, from 0 to 38.
     */
    uint32_t scale;
    /*
     A boolean, a whole number, days or microseconds; the lower half of a decimal.
     */
    int64_t number;
    /*
     The upper half of a decimal: of a small one 0, or -1 if it is negative.
     */
    int64_t high;
    /*
     Of ENGINE_VALUE_KIND_DOUBLE.
     */
    double real;
    /*
     Of ENGINE_VALUE_KIND_STRING and ENGINE_VALUE_KIND_BINARY; NULL is empty.
     */
    const void *data;
    /*
     How many bytes data has.
     */
    size_t len;
} engine_value;

/*
 Settings of a scan. Set struct_size to sizeof(engine_scan_options) and all
 else to zero, then what you want to be different.
 */
typedef struct engine_scan_options {
    /*
     sizeof(engine_scan_options), so that the struct can grow.
     */
    size_t struct_size;
    /*
     Names of the columns that a batch shall have, in that order; NULL is the
     first seven that engine_scan_files lists, with a few more in the streams
     of changes and of actions, all but the last of engine_scan_history, and
     all of the table's in engine_scan_rows and engine_scan_change_rows, where
     the names may be paths. The names are copied; what is not named is not
     decoded.
     */
    const char *const *columns;
    /*
     How many names columns has.
     */
    size_t columns_len;
    /*
     The most workers a stream uses: 0 is the engine's number,
     ENGINE_THREADS_NONE is none, so that everything runs on the thread that
     calls. The batches are the same, whatever the number.
     */
    int64_t threads;
    /*
     The most bytes that a stream holds decoded and not yet delivered: 0 is
     the engine's number.
     */
    uint64_t window_bytes;
    /*
     The most decode units (commits, parts of checkpoints, row groups) that a
     stream holds submitted and not yet delivered, up to 4096: 0 is four for
     each worker.
     */
    uint64_t window_units;
    /*
     The most rows of a batch: 0 is 8192. Batches end where decode units do
     as well, so they often have fewer.
     */
    uint64_t batch_rows;
    /*
     ENGINE_SCAN_ flags, or-ed together.
     */
    uint64_t flags;
    /*
     Names of the actions that engine_scan_actions shall have; NULL is all
     that it lists. The names are copied; what is not named is not decoded.
     */
    const char *const *action_kinds;
    /*
     How many names action_kinds has.
     */
    size_t action_kinds_len;
    /*
     The most rows of engine_scan_rows and engine_scan_change_rows; 0 is all of
     them. The workers stop when they have so many.
     */
    uint64_t row_limit;
    /*
     An SQL text that is true for the wanted rows, as for engine_predicate_parse:
     "day = DATE '2025-01-31'". NULL is all rows. engine_scan_files then has the
     live files that may hold such rows: all but those whose partition values or
     statistics rule it out. engine_scan_rows and engine_scan_change_rows have just
     those rows. The columns it is about need not be among the scan's.
     */
    const char *where;
    /*
     The same as a predicate, which is copied; NULL is all rows. With both, both
     hold for the wanted rows.
     */
    const struct engine_predicate *predicate;
} engine_scan_options;

/*
 Counters of a stream. Set struct_size to sizeof(engine_progress) before the
 call.
 */
typedef struct engine_progress {
    /*
     sizeof(engine_progress), so that the struct can grow.
     */
    size_t struct_size;
    /*
     Decode units submitted so far: commits, parts of checkpoints.
     */
    uint64_t units_planned;
    /*
     Decode units finished.
     */
    uint64_t units_decoded;
    /*
     Bytes that the stream read from storage. It can be 0: what the open
     read of the commits is kept for the first stream.
     */
    uint64_t bytes_read;
    /*
     Rows of the batches delivered: of a listing, live files.
     */
    uint64_t rows_delivered;
    /*
     Batches delivered.
     */
    uint64_t batches_delivered;
    /*
     The most bytes that the window has held, by estimate.
     */
    uint64_t window_bytes_peak;
    /*
     Bytes in the window now: decoded or being decoded, and not delivered.
     */
    uint64_t window_bytes;
    /*
     Values of the column partition that are null because the log leaves
     out their key.
     */
    uint64_t partition_values_missing;
    /*
     With a predicate, as are all that follow: live files that may have wanted
     rows.
     */
    uint64_t files_kept;
    /*
     The bytes of those files.
     */
    uint64_t bytes_kept;
    /*
     Live files left out by their partition values alone.
     */
    uint64_t files_pruned;
    /*
     The bytes of those files.
     */
    uint64_t bytes_pruned;
    /*
     Live files left out by their statistics.
     */
    uint64_t files_skipped;
    /*
     The bytes of those files.
     */
    uint64_t bytes_skipped;
    /*
     Rows of checkpoints that were not decoded, because what the checkpoint's
     columns say of them rules them out: nearly all are live files, which are
     counted nowhere else.
     */
    uint64_t checkpoint_rows_skipped;
    /*
     Row groups of the data files that were opened.
     */
    uint64_t row_groups;
    /*
     Those of which no row was decoded.
     */
    uint64_t row_groups_skipped;
    /*
     Pages of the predicate's columns that were left out.
     */
    uint64_t pages_skipped;
    /*
     Rows of data files that were left out undecoded.
     */
    uint64_t rows_skipped;
    /*
     Rows that were decoded, as far as the predicate's columns go, and not
     wanted.
     */
    uint64_t rows_filtered;
} engine_progress;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 The version of the library that is running, such as "0.1.0". It stays valid
 for as long as the library is loaded.
 */
const char *engine_version_string(void);

/*
 The ENGINE_ABI_VERSION of the library that is running.
 */
uint32_t engine_abi_version(void);

/*
 A status in words, such as "corrupt log"; "unknown status" for a number
 that is none. Never NULL; stays valid for as long as the library is loaded.
 */
const char *engine_status_name(int status);

/*
 Makes an engine. No thread starts before the first stream needs one.

 options may be NULL for the defaults. On success *out is the engine, to be
 freed with engine_free. On failure *out is NULL.

 ENGINE_STATUS_INVALID_ARGUMENT: out is NULL, struct_size is not the size of
 the struct, a number is out of range, or a field is set that this version
 of the library does not have.
 */
enum engine_status engine_new(const struct engine_options *options,
                              struct engine **out,
                              struct engine_error *error);

/*
 Frees an engine. Its snapshots, scans and streams stay usable: the workers
 are joined when the last of them is freed. NULL is allowed. In a child
 process after fork it does nothing, since the workers are not there.
 */
void engine_free(struct engine *engine);

/*
 Opens the latest version of a table.

 table is a path or a file:// URL, UTF-8, of at most 64 KiB. The log is
 listed and read as far as the protocol and the metadata need; the live
 files are read by a scan. On success *out is the snapshot, to be freed with
 engine_snapshot_free. On failure *out is NULL.

 ENGINE_STATUS_NOT_FOUND: there is no table. ENGINE_STATUS_UNSUPPORTED: it
 needs a feature this library does not read; the message names it.
 ENGINE_STATUS_CORRUPT_LOG, ENGINE_STATUS_STORAGE: the message names the file.
 */
enum engine_status engine_snapshot_open(const struct engine *engine,
                                        const char *table,
                                        struct engine_snapshot **out,
                                        struct engine_error *error);

/*
 Opens one version of a table; else as engine_snapshot_open.

 ENGINE_STATUS_NOT_FOUND also: there is no such version, or the log no
 longer reaches back to it.
 */
enum engine_status engine_snapshot_open_at(const struct engine *engine,
                                           const char *table,
                                           uint64_t version,
                                           struct engine_snapshot **out,
                                           struct engine_error *error);

/*
 Opens the version of a table that the options say; else as
 engine_snapshot_open. options may be NULL for the latest.

 ENGINE_STATUS_NOT_FOUND also: there is no such version, or none of that time,
 or the log no longer reaches back to it. ENGINE_STATUS_INVALID_ARGUMENT: the
 catalog's commits have a gap or go beyond its version, a name is none of a staged
 commit, or a field is set without its flag.
 */
enum engine_status engine_snapshot_open_with(const struct engine *engine,
                                             const char *table,
                                             const struct engine_snapshot_options *options,
                                             struct engine_snapshot **out,
                                             struct engine_error *error);

/*
 Opens the same table as it is now: its latest version, or the one that the
 options say. options may be NULL.

 *out is a new handle that equals one of engine_snapshot_open, whether there
 is a new version or not; engine_snapshot_version tells. It costs what is new
 in the log. The old snapshot stays as it is, with its strings and streams,
 and both are to be freed. A catalog-managed table needs what its catalog
 says now.

 It fails as engine_snapshot_open_with; the old snapshot is not affected.
 */
enum engine_status engine_snapshot_refresh(const struct engine_snapshot *snapshot,
                                           const struct engine_snapshot_options *options,
                                           struct engine_snapshot **out,
                                           struct engine_error *error);

/*
 The latest version of a table that was committed at or before timestamp_ms,
 milliseconds since 1970 in UTC: ENGINE_SNAPSHOT_AT_TIMESTAMP says when that
 was. For a time after the latest version it is the latest. options say up to
 which version is looked, and what a catalog knows; NULL is all of the table.

 ENGINE_STATUS_NOT_FOUND: the time is before the first version in reach.
 ENGINE_STATUS_INVALID_ARGUMENT: the options have a time of their own. Else it
 fails as engine_snapshot_open_with.
 */
enum engine_status engine_version_at_or_before(const struct engine *engine,
                                               const char *table,
                                               const struct engine_snapshot_options *options,
                                               int64_t timestamp_ms,
                                               uint64_t *out,
                                               struct engine_error *error);

/*
 The first version of a table that was committed at or after timestamp_ms; for
 a time before the first version in reach, that one. Else as
 engine_version_at_or_before.

 ENGINE_STATUS_NOT_FOUND: the time is after the latest version.
 */
enum engine_status engine_version_at_or_after(const struct engine *engine,
                                              const char *table,
                                              const struct engine_snapshot_options *options,
                                              int64_t timestamp_ms,
                                              uint64_t *out,
                                              struct engine_error *error);

/*
 Frees a snapshot, and with it the strings it lent. Its scans and streams
 stay usable. NULL is allowed.
 */
void engine_snapshot_free(struct engine_snapshot *snapshot);

/*
 The version; ENGINE_VERSION_NONE if snapshot is not a snapshot.
 */
uint64_t engine_snapshot_version(const struct engine_snapshot *snapshot);

/*
 When this version was committed: milliseconds since 1970 in UTC, as the
 protocol defines a commit's timestamp. It may have to read the commit.
 */
enum engine_status engine_snapshot_timestamp_ms(const struct engine_snapshot *snapshot,
                                                int64_t *out,
                                                struct engine_error *error);

/*
 The table's root, as the library resolved it.
 */
struct engine_str engine_snapshot_table_root(const struct engine_snapshot *snapshot);

/*
 The table's schema, with logical column names, as an Arrow schema: a struct
 with one child for each column.

 A child's metadata has what the log says of the column, where it says more
 than name, type and nullability: the JSON object DELTA:metadata, and the id
 that column mapping gave it as PARQUET:field_id.

 On success the caller owns *out and calls out->release(out) when done; it
 may outlive the snapshot. On failure out->release is NULL.
 */
enum engine_status engine_snapshot_schema(const struct engine_snapshot *snapshot,
                                          struct ArrowSchema *out,
                                          struct engine_error *error);

/*
 The table's schema as the log has it: JSON in Delta's own notation.
 */
struct engine_str engine_snapshot_schema_json(const struct engine_snapshot *snapshot);

/*
 How many columns the table is partitioned by; 0 if it is not.
 */
size_t engine_snapshot_partition_column_count(const struct engine_snapshot *snapshot);

/*
 The logical name of a partition column; data is NULL if there are not so
 many.
 */
struct engine_str engine_snapshot_partition_column_at(const struct engine_snapshot *snapshot,
                                                      size_t index);

/*
 How many table properties there are.
 */
size_t engine_snapshot_property_count(const struct engine_snapshot *snapshot);

/*
 One table property, in the order of the keys; both data are NULL if there
 are not so many.
 */
struct engine_property engine_snapshot_property_at(const struct engine_snapshot *snapshot,
                                                   size_t index);

/*
 The value of a table property, such as "delta.appendOnly", as the log has
 it. ENGINE_STATUS_NOT_FOUND: the table does not set it;
 engine_snapshot_property_in_force knows the defaults.
 */
enum engine_status engine_snapshot_property(const struct engine_snapshot *snapshot,
                                            const char *key,
                                            struct engine_str *out,
                                            struct engine_error *error);

/*
 How many CHECK constraints there are.
 */
size_t engine_snapshot_check_constraint_count(const struct engine_snapshot *snapshot);

/*
 One CHECK constraint: its name, and the SQL that is true of every row, in
 the order of the names; both data are NULL if there are not so many.
 */
struct engine_property engine_snapshot_check_constraint_at(const struct engine_snapshot *snapshot,
                                                           size_t index);

/*
 The protocol; all fields are 0 if snapshot is not a snapshot.
 */
struct engine_protocol engine_snapshot_protocol(const struct engine_snapshot *snapshot);

/*
 The name of a reader feature; data is NULL if there are not so many.
 */
struct engine_str engine_snapshot_reader_feature_at(const struct engine_snapshot *snapshot,
                                                    size_t index);

/*
 The name of a writer feature; data is NULL if there are not so many.
 */
struct engine_str engine_snapshot_writer_feature_at(const struct engine_snapshot *snapshot,
                                                    size_t index);

/*
 The table's unique id: the metadata's id, which stays the same over all
 versions of one table.
 */
struct engine_str engine_snapshot_table_id(const struct engine_snapshot *snapshot);

/*
 The name that the table's owner gave it; data is NULL if there is none.
 */
struct engine_str engine_snapshot_table_name(const struct engine_snapshot *snapshot);

/*
 The table's description; data is NULL if there is none.
 */
struct engine_str engine_snapshot_table_description(const struct engine_snapshot *snapshot);

/*
 When the metadata was written: milliseconds since 1970 in UTC.
 ENGINE_STATUS_NOT_FOUND: the log does not say.
 */
enum engine_status engine_snapshot_created_time_ms(const struct engine_snapshot *snapshot,
                                                   int64_t *out,
                                                   struct engine_error *error);

/*
 The value in force of a property that Delta knows by name, in whatever case:
 the table's, else the default. What it gives for "delta.appendOnly" of a
 table that does not set it is false.

 ENGINE_STATUS_NOT_FOUND: no such property is known, whether the table sets
 it or not; or the table does not set it, and it has no default.
 ENGINE_STATUS_CORRUPT_LOG: the table sets it to what is no value of its
 kind. Nothing is read for it.
 */
enum engine_status engine_snapshot_property_in_force(const struct engine_snapshot *snapshot,
                                                     const char *key,
                                                     struct engine_property_value *out,
                                                     struct engine_error *error);

/*
 The version that the application app_id last committed, by its own count:
 the txn action. ENGINE_STATUS_NOT_FOUND: it never has, or that has expired.

 Like the domains, these may lie in old parts of the log that the open did
 not need, so the first question can take as long as a scan. It also decides
 which have expired, where the table sets
 delta.setTransactionRetentionDuration.
 */
enum engine_status engine_snapshot_txn_version(const struct engine_snapshot *snapshot,
                                               const char *app_id,
                                               int64_t *out,
                                               struct engine_error *error);

/*
 What one application last committed, in the order of their ids; else as
 engine_snapshot_txn_version. ENGINE_STATUS_END: there are not so many.
 */
enum engine_status engine_snapshot_txn_at(const struct engine_snapshot *snapshot,
                                          size_t index,
                                          struct engine_txn *out,
                                          struct engine_error *error);

/*
 The configuration of a metadata domain: text whose form is the domain's own
 affair. ENGINE_STATUS_NOT_FOUND: there is none, or it was removed.
 */
enum engine_status engine_snapshot_domain_metadata(const struct engine_snapshot *snapshot,
                                                   const char *domain,
                                                   struct engine_str *out,
                                                   struct engine_error *error);

/*
 One metadata domain, by its name and configuration, in the order of the
 names. ENGINE_STATUS_END: there are not so many.
 */
enum engine_status engine_snapshot_domain_at(const struct engine_snapshot *snapshot,
                                             size_t index,
                                             struct engine_property *out,
                                             struct engine_error *error);

/*
 One of the columns that the table is clustered by, in their order, by
 logical names. ENGINE_STATUS_END: there are not so many.
 ENGINE_STATUS_NOT_FOUND: the table is not clustered.
 ENGINE_STATUS_CORRUPT_LOG: its schema has no such column. It is a domain:
 the first question can take as long as a scan.
 */
enum engine_status engine_snapshot_clustering_column_at(const struct engine_snapshot *snapshot,
                                                        size_t index,
                                                        struct engine_column_path *out,
                                                        struct engine_error *error);

/*
 The highest row id that was given out. ENGINE_STATUS_NOT_FOUND: the table
 tracks no rows. It is a domain: the first question can take as long as a
 scan.
 */
enum engine_status engine_snapshot_row_id_high_water_mark(const struct engine_snapshot *snapshot,
                                                          int64_t *out,
                                                          struct engine_error *error);

/*
 Numbers and sizes of the live files, from the version's checksum; no file
 action is read. As many bytes of *out are written as its struct_size says.

 ENGINE_STATUS_NOT_FOUND: this version has no checksum, as most have not, or
 one that cannot be read. A scan adds them up.
 */
enum engine_status engine_snapshot_file_statistics(const struct engine_snapshot *snapshot,
                                                   struct engine_file_statistics *out,
                                                   struct engine_error *error);

/*
 Where a snapshot's parts come from, and what reading it has cost so far; it
 looks for nothing itself. As many bytes of *out are written as its
 struct_size says.
 */
enum engine_status engine_snapshot_origin(const struct engine_snapshot *snapshot,
                                          struct engine_origin *out,
                                          struct engine_error *error);

/*
 Makes a predicate of an SQL text: what stands behind WHERE, such as
 "day >= DATE '2025-01-01' AND (city = 'Bonn' OR n IN (1, 2))". The text is of up
 to 1 MiB. There are comparisons of a column with a value (= <> != < <= > >= <=>),
 [NOT] IN, BETWEEN and LIKE, IS [NOT] NULL, TRUE, FALSE and DISTINCT FROM, AND, OR,
 NOT and parentheses; text goes between single quotes, names that are no plain words
 between backticks or double ones, and dots lead to the fields of a struct.

 On success *out is the predicate, to be freed with engine_predicate_free. On
 failure *out is NULL.

 ENGINE_STATUS_INVALID_ARGUMENT: the message tells the line and the column of
 what is wrong, or not supported. Whether a table has such columns is told by
 engine_scan_new.
 */
enum engine_status engine_predicate_parse(const char *sql,
                                          struct engine_predicate **out,
                                          struct engine_error *error);

/*
 Makes a predicate that is true for every row, or for none where is_true is 0. *out
 is to be freed with engine_predicate_free; on failure it is NULL.
 */
enum engine_status engine_predicate_constant(int is_true,
                                             struct engine_predicate **out,
                                             struct engine_error *error);

/*
 Makes a predicate that compares a column with a value. The column is a name, or
 names with dots between them for the field of a struct, in backticks where a name
 has a dot. comparison is one of engine_comparison. To compare with a null is null,
 but for ENGINE_COMPARISON_DISTINCT and ENGINE_COMPARISON_NOT_DISTINCT.

 On success *out is the predicate, to be freed with engine_predicate_free. On
 failure *out is NULL.

 ENGINE_STATUS_INVALID_ARGUMENT: comparison, or the value, is none. Whether a table
 has such a column, and of a type that has such values, is told by
 engine_scan_new.
 */
enum engine_status engine_predicate_compare(const char *column,
                                            int comparison,
                                            const struct engine_value *value,
                                            struct engine_predicate **out,
                                            struct engine_error *error);

/*
 As engine_predicate_compare, but compares the day, in UTC, of a column of
 timestamps: CAST(column AS DATE) in SQL. The value is most often one of
 ENGINE_VALUE_KIND_DATE.
 */
enum engine_status engine_predicate_compare_day(const char *column,
                                                int comparison,
                                                const struct engine_value *value,
                                                struct engine_predicate **out,
                                                struct engine_error *error);

/*
 Makes a predicate that is true where a column has one of the values. With a null
 among them it is null where it is not true, as in SQL; without any value it is
 false. The column is as for engine_predicate_compare.

 On success *out is the predicate, to be freed with engine_predicate_free. On
 failure *out is NULL.
 */
enum engine_status engine_predicate_in(const char *column,
                                       const struct engine_value *values,
                                       size_t values_len,
                                       struct engine_predicate **out,
                                       struct engine_error *error);

/*
 Makes a predicate that is true where a column is null, and false elsewhere. The
 column is as for engine_predicate_compare.

 On success *out is the predicate, to be freed with engine_predicate_free. On
 failure *out is NULL.
 */
enum engine_status engine_predicate_is_null(const char *column,
                                            struct engine_predicate **out,
                                            struct engine_error *error);

/*
 Makes a predicate that is true where a column of text is like a pattern: % stands
 for any text, _ for any character, and behind a backslash both, and the backslash,
 for themselves. The column is as for engine_predicate_compare.

 On success *out is the predicate, to be freed with engine_predicate_free. On
 failure *out is NULL.
 */
enum engine_status engine_predicate_like(const char *column,
                                         const char *pattern,
                                         struct engine_predicate **out,
                                         struct engine_error *error);

/*
 Makes a predicate that is true where all of predicates are; without any it is true.
 They are copied, so they stay the caller's, and to join many at once takes less
 than to join them one by one.

 On success *out is the predicate, to be freed with engine_predicate_free. On
 failure *out is NULL.

 ENGINE_STATUS_INVALID_ARGUMENT: one of them is NULL, or the predicate would nest
 deeper than 256 levels; what is joined in one way is one level.
 */
enum engine_status engine_predicate_and(const struct engine_predicate *const *predicates,
                                        size_t predicates_len,
                                        struct engine_predicate **out,
                                        struct engine_error *error);

/*
 Makes a predicate that is true where one of predicates is; without any it is false.
 All else is as for engine_predicate_and.
 */
enum engine_status engine_predicate_or(const struct engine_predicate *const *predicates,
                                       size_t predicates_len,
                                       struct engine_predicate **out,
                                       struct engine_error *error);

/*
 Makes a predicate that is true where another is false, and null where that is. It is
 copied, and stays the caller's.

 On success *out is the predicate, to be freed with engine_predicate_free. On
 failure *out is NULL.

 ENGINE_STATUS_INVALID_ARGUMENT: the predicate would nest deeper than 256 levels.
 */
enum engine_status engine_predicate_not(const struct engine_predicate *predicate,
                                        struct engine_predicate **out,
                                        struct engine_error *error);

/*
 A predicate as SQL, of which engine_predicate_parse makes the same again. The text
 belongs to the predicate.
 */
struct engine_str engine_predicate_text(const struct engine_predicate *predicate);

/*
 Frees a predicate. What was made of it stays usable. NULL is allowed.
 */
void engine_predicate_free(struct engine_predicate *predicate);

/*
 Makes a scan of a snapshot. It reads nothing yet.

 options may be NULL for the defaults. On success *out is the scan, to be
 freed with engine_scan_free. On failure *out is NULL.

 ENGINE_STATUS_INVALID_ARGUMENT: a number or a flag is out of range; a field is
 set that this version of the library does not have; the table does not have a
 column that rows are wanted by, or its type has no such value, and the message tells
 the place in the text. Whether there is a column of each name in columns, and none
 twice, the start of a stream says: each kind of stream has columns of its own. So
 it does, as ENGINE_STATUS_UNSUPPORTED, where rows cannot be told from others.
 */
enum engine_status engine_scan_new(const struct engine_snapshot *snapshot,
                                   const struct engine_scan_options *options,
                                   struct engine_scan **out,
                                   struct engine_error *error);

/*
 Frees a scan. Its streams stay usable. NULL is allowed.
 */
void engine_scan_free(struct engine_scan *scan);

/*
 Starts a stream of the snapshot's live files, as Arrow batches with one row
 for each file. Decoding has begun when this returns, and runs ahead of the
 caller as far as the window allows. A scan can start any number of streams;
 all give the same batches in the same order. The columns, with Arrow's
 formats (all but path are null where the log says nothing):

 - path, u: as the log has it, a URI reference, percent-encoded
 - size, l: bytes of the data file
 - modification_time, tsm:UTC: when the data file was made
 - partition_values, +m of u to u: as the log has them, by physical name
 - num_records, l: rows by the statistics, deleted ones included
 - stats, u: the statistics, as JSON
 - deletion_vector, +s: storage_type u, path_or_inline_dv u, offset i,
   size_in_bytes i, cardinality l; null where no row is deleted
 - partition, +s: the partition values, typed, by logical name
 - tags, +m of u to u
 - data_change, b
 - base_row_id, l: the row id of the file's first row
 - default_row_commit_version, l
 - clustering_provider, u

 On success *out is the stream, to be freed with engine_stream_free. On
 failure *out is NULL.

 ENGINE_STATUS_INVALID_ARGUMENT: the scan names a column that such a stream
 does not have.
 */
enum engine_status engine_scan_files(const struct engine_scan *scan,
                                     struct engine_stream **out,
                                     struct engine_error *error);

/*
 Starts a stream of the table's rows: what its data files hold, as Arrow
 batches in the types of engine_snapshot_schema; ffi-tests/read_rows.c prints
 some. Files, footers and row groups are read ahead on the workers. The rows
 come file by file, in the order that each file has them, unless the scan is
 ENGINE_SCAN_UNORDERED. Deleted rows are left out; a column that a file does not
 have is null.

 The scan's columns are paths: a name, or names with dots between them for the
 field of a struct (s.a), of a list's elements (l.element.a), of a map's values
 (m.value.a); backticks go about a name that has a dot. Paths into one struct
 make one struct of what is wanted of it. No other column's bytes are read.
 There are, too, each as a column of just that name:

 - _metadata.file_path, u: the data file's path as the log has it
 - _metadata.row_index, l: the row's place in its file, from 0, deleted rows
   counted
 - _metadata.file_modification_time, tsu:UTC
 - _metadata.row_id, _metadata.row_commit_version, l: of row tracking

 On success *out is the stream, to be freed with engine_stream_free. On
 failure *out is NULL. A data file that is missing, cannot be read as the
 table's columns or lies outside the table's root ends the stream with an error
 that names it.

 ENGINE_STATUS_INVALID_ARGUMENT: the scan names a column that the table does
 not have, or row tracking's where the table tracks no rows.
 */
enum engine_status engine_scan_rows(const struct engine_scan *scan,
                                    struct engine_stream **out,
                                    struct engine_error *error);

/*
 Counts the table's rows by the log alone: no data file is read. On success
 *out is the exact number; on failure it is 0. It lists the files, on the
 thread that calls and the workers, and returns when that is done.

 ENGINE_STATUS_UNSUPPORTED: the statistics of a file, which the message names,
 do not say how many rows it has.
 */
enum engine_status engine_scan_count(const struct engine_scan *scan,
                                     uint64_t *out,
                                     struct engine_error *error);

/*
 Starts a stream of what brings the live files of base_version to those of
 the scan's snapshot, for a host that keeps a list of them: ffi-tests/changes.c
 does so. One row for each logical file that the commits between speak of, its
 newest action. No key comes twice, so rows may be applied in any order. A
 logical file is a path, percent-decoded, together with its deletion vector's
 storage type, path or inline text, and offset. A file whose deletion vector
 was replaced is a remove of the old one and an add of the new one. The
 columns are those of engine_scan_files, null in a remove that does not have
 them, and:

 - change, u: add or remove. The file of an add may be in the list already:
   then the row takes its place. That of a remove need not be in it
 - version, l: the version whose commit holds the action
 - deletion_timestamp, tsm:UTC: when the file was removed
 - extended_file_metadata, b: of a remove, as the log has it

 Without columns of the scan's it has change, then those that a listing has.
 With the snapshot's own version for base_version it is empty.

 On success *out is the stream, to be freed with engine_stream_free. On
 failure *out is NULL.

 ENGINE_STATUS_NOT_FOUND: the log no longer reaches back to base_version; list
 the files anew. ENGINE_STATUS_INVALID_ARGUMENT: base_version is newer than
 the snapshot, or the scan names a column that such a stream does not have.
 */
enum engine_status engine_scan_changes(const struct engine_scan *scan,
                                       uint64_t base_version,
                                       struct engine_stream **out,
                                       struct engine_error *error);

/*
 Starts a stream of the actions in the commits from first_version to
 last_version, the oldest commit first, each commit's in the order of its
 lines: the log's side of a change data feed. Every action is a row, as its
 commit says it; nothing is reconciled. The columns are those of
 engine_scan_files, null where the action does not have them, path too, and:

 - version, l: the commit's version
 - action, u: add, remove, cdc, metaData, protocol, txn, domainMetadata or
   commitInfo; action_kinds of engine_scan_options chooses some
 - deletion_timestamp, tsm:UTC: of a remove
 - extended_file_metadata, b: of a remove
 - json, u: of an action that is none of the first three, the object that the
   log has under its name, to the byte

 Without columns of the scan's it has version and action, then those that a
 listing has, then data_change and json. It is empty where first_version is
 after last_version.

 On success *out is the stream, to be freed with engine_stream_free. On
 failure *out is NULL.

 ENGINE_STATUS_NOT_FOUND: the log no longer reaches back to first_version.
 ENGINE_STATUS_INVALID_ARGUMENT: last_version is newer than the snapshot; the
 scan names a column, or a kind of action, that does not exist.
 */
enum engine_status engine_scan_actions(const struct engine_scan *scan,
                                       uint64_t first_version,
                                       uint64_t last_version,
                                       struct engine_stream **out,
                                       struct engine_error *error);

/*
 Starts a stream of the rows that the versions from first_version to the scan's
 snapshot inserted, updated and deleted: a change data feed;
 ffi-tests/change_rows.c keeps a sum up to date by it. The oldest version comes
 first, unless the scan is ENGINE_SCAN_UNORDERED. The columns are those of
 engine_scan_rows, in the snapshot's schema and without row tracking's, and behind
 them, or where the scan names them:

 - _change_type, u: insert, delete, update_preimage or update_postimage
 - _commit_version, l: the version that made the change
 - _commit_timestamp, tsu:UTC: when, as in engine_scan_history

 A version with change data files (cdc actions) has just their rows. In any other
 the rows of the files that it adds were inserted, and those of the files that it
 removes were deleted, so far as it changes data; of a file that gets another
 deletion vector, only the rows that make the difference. Columns that were added
 since a version are null in its rows.

 On success *out is the stream, to be freed with engine_stream_free. On
 failure *out is NULL.

 ENGINE_STATUS_UNSUPPORTED, here for first_version and else of the stream, naming
 the version: the table did not record its changes (delta.enableChangeDataFeed),
 or a column was renamed or dropped since, or has another type.
 ENGINE_STATUS_NOT_FOUND: the log no longer reaches back to first_version.
 ENGINE_STATUS_INVALID_ARGUMENT: first_version is newer than the snapshot, or the
 scan names a column that such a stream does not have.
 */
enum engine_status engine_scan_change_rows(const struct engine_scan *scan,
                                           uint64_t first_version,
                                           struct engine_stream **out,
                                           struct engine_error *error);

/*
 Starts a stream of the commits from last_version down to first_version, with
 one row for each: who did what, and when. limit is the most rows, and 0 is
 all. It ends, without an error, where the log begins, and what is newer than
 the snapshot has no row: 0 and ENGINE_VERSION_NONE are the whole history. The
 columns (all but the first two are null where a commit does not say):

 - version, l
 - timestamp, tsm:UTC: when it was committed: the in-commit timestamp where the
   table has them, and the modification time of the commit's file before
 - in_commit_timestamp, tsm:UTC
 - operation, u
 - operation_parameters, +m of u to u
 - operation_metrics, +m of u to u
 - engine_info, user_metadata, user_id, user_name, isolation_level, u
 - read_version, l
 - is_blind_append, b
 - txn_id, u
 - tags, +m of u to u
 - commit_info, u: all of the commitInfo, the JSON as the log has it

 On success *out is the stream, to be freed with engine_stream_free. On
 failure *out is NULL.

 ENGINE_STATUS_INVALID_ARGUMENT: first_version is after last_version, or the
 scan names a column that such a stream does not have.
 */
enum engine_status engine_scan_history(const struct engine_scan *scan,
                                       uint64_t first_version,
                                       uint64_t last_version,
                                       uint64_t limit,
                                       struct engine_stream **out,
                                       struct engine_error *error);

/*
 The schema of the stream's batches: a struct with one child for each
 column. It waits for nothing, and works in every state of the stream.

 On success the caller owns *out and calls out->release(out) when done; it
 may outlive the stream. On failure out->release is NULL.
 */
enum engine_status engine_stream_schema(const struct engine_stream *stream,
                                        struct ArrowSchema *out,
                                        struct engine_error *error);

/*
 The next batch; waits for it if it is not decoded yet.

 On ENGINE_STATUS_OK *out is a struct array with one child for each column
 of engine_stream_schema. The caller owns it and calls out->release(out)
 when done: on any thread, in any order, after everything else was freed if
 it likes. On every other status out->release is NULL. What was in *out
 before is overwritten, not released.

 ENGINE_STATUS_END: there are no more; every later call says so again. After
 a failure every later call gives the same failure, so a list that reached
 the end is complete. ENGINE_STATUS_CANCELLED: engine_stream_cancel was
 called. ENGINE_STATUS_MISUSE: another thread is inside this stream, or it
 was exported; that changes nothing in the stream.
 */
enum engine_status engine_next_batch(struct engine_stream *stream,
                                     struct ArrowArray *out,
                                     struct engine_error *error);

/*
 As engine_next_batch, but gives up after timeout_ms milliseconds with
 ENGINE_STATUS_TIMEOUT. Then nothing was lost, and either call may be made
 again. 0 asks without waiting.

 A stream without workers decodes inside the call, and looks at the clock
 only between two decode units.

 What compares a listing, at its end, with what the table counts itself is
 not interrupted by the time, only by a cancel.
 */
enum engine_status engine_next_batch_within(struct engine_stream *stream,
                                            uint64_t timeout_ms,
                                            struct ArrowArray *out,
                                            struct engine_error *error);

/*
 Asks a stream to stop, and returns at once: it only sets a flag. It may be
 called by any thread at any time before engine_stream_free, any number of
 times. A call that waits in the stream, and every later one, answers
 ENGINE_STATUS_CANCELLED; a stream that has already ended, or failed, stays
 so. Batches that were delivered stay valid. NULL does nothing.
 */
void engine_stream_cancel(const struct engine_stream *stream);

/*
 Reads a stream's counters, from any thread, without waiting. As many bytes
 of *out are written as its struct_size says; fields that this version of
 the library does not have become 0.
 */
enum engine_status engine_stream_progress(const struct engine_stream *stream,
                                          struct engine_progress *out,
                                          struct engine_error *error);

/*
 Hands the batches that are left over to an Arrow C stream, for a consumer
 that knows Arrow and nothing of this library.

 On success the caller owns *out and calls out->release(out) when done, on
 any thread; its get_next gives what engine_next_batch would have given. The
 engine_stream stays: it can still be cancelled and asked for its schema and
 progress, and is to be freed, before or after the release; freeing it no
 longer cancels. engine_next_batch on it answers ENGINE_STATUS_MISUSE, as
 does a second export. On failure out->release is NULL and the stream is as
 it was.

 The callbacks give 0 or an errno code: ECANCELED after a cancel, EINVAL
 after misuse, ENOTSUP for a feature that is not read, EIO for the rest;
 get_last_error has the text of the last failure.
 */
enum engine_status engine_stream_export(struct engine_stream *stream,
                                        struct ArrowArrayStream *out,
                                        struct engine_error *error);

/*
 Frees a stream, and cancels it unless it was exported. It returns without
 waiting for what is being decoded. Batches that were delivered stay valid.
 If another thread waits in a call on this stream, that call answers
 ENGINE_STATUS_CANCELLED; no call may begin once the free has. NULL is
 allowed.
 */
void engine_stream_free(struct engine_stream *stream);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* DELTA_ENGINE_H */
