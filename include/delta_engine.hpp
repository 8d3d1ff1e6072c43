/*
 * delta_engine.hpp - delta_engine.h for C++17: handles that free themselves,
 * errors as exceptions, batches in a range-for.
 *
 *     delta_engine::Engine engine;
 *     auto snapshot = engine.open("/data/table");
 *     auto files = snapshot.scan({"path", "size"}).files();
 *     for (auto& batch : files) {
 *         use(batch.array());
 *     }
 *
 * Everything here is a thin, header-only layer over the C functions, whose
 * comments hold: what may be used by several threads at once, what a status
 * means, how long a string lives (a string_view of a snapshot lives as long as
 * the snapshot). All classes can be moved and not copied; a moved-from object
 * may only be destroyed or assigned to.
 */

#ifndef DELTA_ENGINE_HPP
#define DELTA_ENGINE_HPP

#include "delta_engine.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace delta_engine {

/* A call that failed: what() is the library's text, status() says who must act. */
class Error : public std::runtime_error {
public:
    explicit Error(const engine_error& error)
        : std::runtime_error(std::string(engine_status_name(error.status)) + ": " + error.message),
          status_(error.status) {}

    engine_status status() const noexcept { return status_; }

private:
    engine_status status_;
};

namespace detail {

inline void check(engine_status status, const engine_error& error) {
    if (status != ENGINE_STATUS_OK) throw Error(error);
}

inline std::optional<std::string_view> view(engine_str text) {
    if (text.data == nullptr) return std::nullopt;
    return std::string_view(text.data, text.len);
}

/* A string for C, where a NUL inside would cut it short in silence. */
inline const char* c_str(const std::string& text) {
    if (text.find('\0') != std::string::npos) {
        engine_error error{ENGINE_STATUS_INVALID_ARGUMENT, "a string has a NUL inside"};
        throw Error(error);
    }
    return text.c_str();
}

/* Gives a C function that frees a handle the type a unique_ptr wants. */
template <auto free>
struct Free {
    template <class T>
    void operator()(T* handle) const noexcept { free(handle); }
};

template <class T, auto free>
using Handle = std::unique_ptr<T, Free<free>>;

/* An Arrow struct, which is released when it is destroyed. */
template <class T>
class Arrow {
public:
    Arrow() = default;
    Arrow(Arrow&& other) noexcept : value_(std::exchange(other.value_, T{})) {}
    Arrow& operator=(Arrow&& other) noexcept {
        if (this != &other) {
            reset();
            value_ = std::exchange(other.value_, T{});
        }
        return *this;
    }
    ~Arrow() { reset(); }

    /* The struct, still owned by this object. */
    T* get() noexcept { return &value_; }
    const T* get() const noexcept { return &value_; }

    /* The struct, to be released by the caller from now on. */
    T release() noexcept { return std::exchange(value_, T{}); }

    /* Room for a C function to write to. */
    T* put() noexcept {
        reset();
        return &value_;
    }

    explicit operator bool() const noexcept { return value_.release != nullptr; }

private:
    void reset() noexcept {
        if (value_.release != nullptr) value_.release(&value_);
        value_ = T{};
    }

    T value_{};
};

}  // namespace detail

/* The type of a table or of a stream's batches. */
class Schema : public detail::Arrow<ArrowSchema> {
public:
    std::size_t columns() const noexcept { return static_cast<std::size_t>(get()->n_children); }
    std::string_view name(std::size_t i) const { return get()->children[i]->name; }
    std::string_view format(std::size_t i) const { return get()->children[i]->format; }
};

/* Rows of a stream, as a struct array with one child for each column. */
class Batch : public detail::Arrow<ArrowArray> {
public:
    std::size_t rows() const noexcept { return static_cast<std::size_t>(get()->length); }
    const ArrowArray& array() const noexcept { return *get(); }
    const ArrowArray& column(std::size_t i) const { return *get()->children[i]; }
};

/* A stream in the form that other Arrow libraries import. */
class ArrowStream : public detail::Arrow<ArrowArrayStream> {};

/* Batches of rows. One thread at a time may ask for the next one. */
class BatchStream {
public:
    /* The next batch, or nothing at the end. */
    std::optional<Batch> next() {
        Batch batch;
        engine_error error;
        const engine_status status = engine_next_batch(handle_.get(), batch.put(), &error);
        if (status == ENGINE_STATUS_END) return std::nullopt;
        detail::check(status, error);
        return batch;
    }

    /* As next(), but throws an Error with ENGINE_STATUS_TIMEOUT when the time
     * has passed; then it may be called again. */
    std::optional<Batch> next_within(std::chrono::milliseconds wait) {
        Batch batch;
        engine_error error;
        const auto ms = static_cast<std::uint64_t>(wait.count() < 0 ? 0 : wait.count());
        const engine_status status = engine_next_batch_within(handle_.get(), ms, batch.put(), &error);
        if (status == ENGINE_STATUS_END) return std::nullopt;
        detail::check(status, error);
        return batch;
    }

    /* One pass over the batches that are left; each lives until the next step,
     * unless it is moved out. */
    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = Batch;
        using difference_type = std::ptrdiff_t;
        using pointer = Batch*;
        using reference = Batch&;

        iterator() = default;
        explicit iterator(BatchStream* stream) : stream_(stream) { ++*this; }

        Batch& operator*() { return *batch_; }
        Batch* operator->() { return &*batch_; }
        iterator& operator++() {
            batch_ = stream_->next();
            if (!batch_) stream_ = nullptr;
            return *this;
        }
        void operator++(int) { ++*this; }
        bool operator==(const iterator& other) const { return stream_ == other.stream_; }
        bool operator!=(const iterator& other) const { return stream_ != other.stream_; }

    private:
        BatchStream* stream_ = nullptr;
        std::optional<Batch> batch_;
    };

    iterator begin() { return iterator(this); }
    iterator end() { return iterator(); }

    Schema schema() const {
        Schema schema;
        engine_error error;
        detail::check(engine_stream_schema(handle_.get(), schema.put(), &error), error);
        return schema;
    }

    /* From any thread. */
    void cancel() const noexcept { engine_stream_cancel(handle_.get()); }

    /* From any thread. */
    engine_progress progress() const {
        engine_progress progress{};
        progress.struct_size = sizeof progress;
        engine_error error;
        detail::check(engine_stream_progress(handle_.get(), &progress, &error), error);
        return progress;
    }

    /* Hands the batches that are left to an Arrow stream; next() then throws. */
    ArrowStream to_arrow() {
        ArrowStream stream;
        engine_error error;
        detail::check(engine_stream_export(handle_.get(), stream.put(), &error), error);
        return stream;
    }

    engine_stream* get() const noexcept { return handle_.get(); }

private:
    friend class Scan;
    explicit BatchStream(engine_stream* handle) : handle_(handle) {}
    detail::Handle<engine_stream, engine_stream_free> handle_;
};

/* A value that a column is compared with: nullptr, or what it is made of. */
class Value {
public:
    Value(std::nullptr_t) : Value(ENGINE_VALUE_KIND_NULL, 0) {}
    Value(bool value) : Value(ENGINE_VALUE_KIND_BOOLEAN, value) {}
    Value(int number) : Value(ENGINE_VALUE_KIND_LONG, number) {}
    Value(std::int64_t number) : Value(ENGINE_VALUE_KIND_LONG, number) {}
    Value(double number) : Value(ENGINE_VALUE_KIND_DOUBLE, 0) { c_.real = number; }
    Value(std::string text) : Value(ENGINE_VALUE_KIND_STRING, 0) { bytes_ = std::move(text); }
    Value(const char* text) : Value(std::string(text)) {}

    /* unscaled / 10^scale; high is the upper half of unscaled, where one of 64 bits
     * does not do. */
    static Value decimal(std::int64_t unscaled, std::uint32_t scale) {
        return decimal(unscaled < 0 ? -1 : 0, static_cast<std::uint64_t>(unscaled), scale);
    }
    static Value decimal(std::int64_t high, std::uint64_t low, std::uint32_t scale) {
        Value value(ENGINE_VALUE_KIND_DECIMAL, static_cast<std::int64_t>(low));
        value.c_.high = high;
        value.c_.scale = scale;
        return value;
    }
    static Value binary(std::string bytes) {
        Value value(ENGINE_VALUE_KIND_BINARY, 0);
        value.bytes_ = std::move(bytes);
        return value;
    }
    /* Days since 1970-01-01. */
    static Value date(std::int64_t days) { return Value(ENGINE_VALUE_KIND_DATE, days); }
    /* Since 1970 in UTC. */
    static Value timestamp(std::chrono::microseconds time) {
        return Value(ENGINE_VALUE_KIND_TIMESTAMP, time.count());
    }
    /* Of a wall clock, since its 1970-01-01 00:00. */
    static Value timestamp_ntz(std::chrono::microseconds time) {
        return Value(ENGINE_VALUE_KIND_TIMESTAMP_NTZ, time.count());
    }

    /* For C, as long as this lives and stays where it is. */
    engine_value c() const noexcept {
        engine_value value = c_;
        value.data = bytes_.data();
        value.len = bytes_.size();
        return value;
    }

private:
    Value(engine_value_kind kind, std::int64_t number) {
        c_.kind = kind;
        c_.number = number;
    }

    engine_value c_{};
    std::string bytes_;
};

/* A condition on rows. Those that it is made of are copied, and stay as they are:
 *
 *     auto wanted = column("day") >= Value::date(20089) && column("city").in({"Bonn", "Ghent"});
 */
class Predicate {
public:
    /* What stands behind WHERE. */
    static Predicate parse(const std::string& sql) {
        return made([&](auto... rest) { return engine_predicate_parse(detail::c_str(sql), rest...); });
    }
    static Predicate constant(bool is_true) {
        return made([&](auto... rest) { return engine_predicate_constant(is_true, rest...); });
    }
    static Predicate all_of(const std::vector<const Predicate*>& predicates) {
        return joined(engine_predicate_and, predicates);
    }
    static Predicate any_of(const std::vector<const Predicate*>& predicates) {
        return joined(engine_predicate_or, predicates);
    }

    Predicate operator!() const {
        return made([&](auto... rest) { return engine_predicate_not(handle_.get(), rest...); });
    }
    friend Predicate operator&&(const Predicate& a, const Predicate& b) { return all_of({&a, &b}); }
    friend Predicate operator||(const Predicate& a, const Predicate& b) { return any_of({&a, &b}); }

    /* As SQL. */
    std::string_view text() const {
        return detail::view(engine_predicate_text(handle_.get())).value_or(std::string_view());
    }

    engine_predicate* get() const noexcept { return handle_.get(); }

private:
    friend class Column;
    explicit Predicate(engine_predicate* handle) : handle_(handle) {}

    template <class Make>
    static Predicate made(const Make& make) {
        engine_predicate* predicate = nullptr;
        engine_error error;
        detail::check(make(&predicate, &error), error);
        return Predicate(predicate);
    }
    static Predicate joined(decltype(engine_predicate_and)* join,
                            const std::vector<const Predicate*>& predicates) {
        std::vector<const engine_predicate*> handles;
        for (const Predicate* predicate : predicates) handles.push_back(predicate->get());
        return made([&](auto... rest) { return join(handles.data(), handles.size(), rest...); });
    }

    detail::Handle<engine_predicate, engine_predicate_free> handle_;
};

/* A column, or the field of a struct at a path with dots, to make a Predicate of. */
class Column {
public:
    explicit Column(std::string path) : path_(std::move(path)) {}

    /* The day, in UTC, of a column of timestamps. */
    Column day() const {
        Column day = *this;
        day.compare_ = engine_predicate_compare_day;
        return day;
    }

    Predicate compare(engine_comparison comparison, const Value& value) const {
        const engine_value c = value.c();
        return Predicate::made([&](auto... rest) {
            return compare_(detail::c_str(path_), comparison, &c, rest...);
        });
    }
    Predicate in(const std::vector<Value>& values) const {
        if (compare_ == engine_predicate_compare_day) {
            std::vector<Predicate> days;
            std::vector<const Predicate*> any;
            for (const Value& value : values) days.push_back(*this == value);
            for (const Predicate& day : days) any.push_back(&day);
            return Predicate::any_of(any);
        }
        std::vector<engine_value> cs;
        for (const Value& value : values) cs.push_back(value.c());
        return Predicate::made([&](auto... rest) {
            return engine_predicate_in(detail::c_str(path_), cs.data(), cs.size(), rest...);
        });
    }
    Predicate is_null() const {
        return Predicate::made(
            [&](auto... rest) { return engine_predicate_is_null(detail::c_str(path_), rest...); });
    }
    Predicate like(const std::string& pattern) const {
        return Predicate::made([&](auto... rest) {
            return engine_predicate_like(detail::c_str(path_), detail::c_str(pattern), rest...);
        });
    }

    Predicate operator==(const Value& v) const { return compare(ENGINE_COMPARISON_EQUAL, v); }
    Predicate operator!=(const Value& v) const { return compare(ENGINE_COMPARISON_NOT_EQUAL, v); }
    Predicate operator<(const Value& v) const { return compare(ENGINE_COMPARISON_LESS, v); }
    Predicate operator<=(const Value& v) const { return compare(ENGINE_COMPARISON_LESS_OR_EQUAL, v); }
    Predicate operator>(const Value& v) const { return compare(ENGINE_COMPARISON_GREATER, v); }
    Predicate operator>=(const Value& v) const {
        return compare(ENGINE_COMPARISON_GREATER_OR_EQUAL, v);
    }

private:
    std::string path_;
    decltype(engine_predicate_compare)* compare_ = engine_predicate_compare;
};

inline Column column(std::string path) { return Column(std::move(path)); }

/* Settings of a scan; what is left alone is the default. */
struct ScanOptions {
    std::vector<std::string> columns;
    std::int64_t threads = 0;
    std::uint64_t window_bytes = 0;
    std::uint64_t window_units = 0;
    std::uint64_t batch_rows = 0;
    bool last_action_wins = false;
    bool disagreements_warn = false;
    /* Of Scan::actions alone. */
    std::vector<std::string> action_kinds;
    /* Of Scan::rows and Scan::change_rows alone; 0 is all. */
    std::uint64_t row_limit = 0;
    bool unordered = false;
    bool reads_outside_root = false;
    /* The wanted rows, as SQL, as a predicate that lives until the scan is made, or as
     * both, which then both hold. */
    std::optional<std::string> where = {};
    const Predicate* predicate = nullptr;
    /* All rows of what has to be decoded for them. */
    bool whole_files = false;

    ScanOptions() = default;
    ScanOptions(std::initializer_list<std::string> names) : columns(names) {}
};

/* What to read of a snapshot. */
class Scan {
public:
    /* Starts a stream; decoding has begun when it returns. */
    BatchStream files() const {
        engine_stream* stream = nullptr;
        engine_error error;
        detail::check(engine_scan_files(handle_.get(), &stream, &error), error);
        return BatchStream(stream);
    }

    /* The table's rows. */
    BatchStream rows() const {
        engine_stream* stream = nullptr;
        engine_error error;
        detail::check(engine_scan_rows(handle_.get(), &stream, &error), error);
        return BatchStream(stream);
    }

    /* How many rows the table has, by the log alone. */
    std::uint64_t count() const {
        std::uint64_t rows = 0;
        engine_error error;
        detail::check(engine_scan_count(handle_.get(), &rows, &error), error);
        return rows;
    }

    /* What brings the live files of an older version to those of this one. */
    BatchStream changes_since(std::uint64_t base_version) const {
        engine_stream* stream = nullptr;
        engine_error error;
        detail::check(engine_scan_changes(handle_.get(), base_version, &stream, &error), error);
        return BatchStream(stream);
    }

    /* The actions of the commits from first to last, both included. */
    BatchStream actions(std::uint64_t first_version, std::uint64_t last_version) const {
        engine_stream* stream = nullptr;
        engine_error error;
        detail::check(
            engine_scan_actions(handle_.get(), first_version, last_version, &stream, &error), error);
        return BatchStream(stream);
    }

    /* The rows that the versions from the first on inserted, updated and deleted. */
    BatchStream change_rows(std::uint64_t first_version) const {
        engine_stream* stream = nullptr;
        engine_error error;
        detail::check(engine_scan_change_rows(handle_.get(), first_version, &stream, &error),
                      error);
        return BatchStream(stream);
    }

    /* The commits from the last version down to the first, so many at the most; 0
     * is all. */
    BatchStream history(std::uint64_t limit = 0, std::uint64_t first_version = 0,
                        std::uint64_t last_version = ENGINE_VERSION_NONE) const {
        engine_stream* stream = nullptr;
        engine_error error;
        detail::check(engine_scan_history(handle_.get(), first_version, last_version, limit, &stream,
                                          &error),
                      error);
        return BatchStream(stream);
    }

    engine_scan* get() const noexcept { return handle_.get(); }

private:
    friend class Snapshot;
    explicit Scan(engine_scan* handle) : handle_(handle) {}
    detail::Handle<engine_scan, engine_scan_free> handle_;
};

/* A ratified commit, as the catalog of a catalog-managed table knows it: staged
 * with a name, inline with content, published with neither. */
struct CatalogCommit {
    std::uint64_t version = 0;
    std::optional<std::string> staged_name = {};
    std::optional<std::string> content = {};
};

/* What the catalog of a catalog-managed table says. */
struct Catalog {
    std::uint64_t version = 0;
    std::vector<CatalogCommit> commits = {};
};

/* Which version of a table; what is left alone is the latest. */
struct SnapshotOptions {
    std::optional<std::uint64_t> version = {};
    /* Since 1970 in UTC. */
    std::optional<std::chrono::milliseconds> timestamp = {};
    std::optional<Catalog> catalog = {};
};

/* What an application last committed. */
struct Txn {
    std::string_view app_id;
    std::int64_t version;
    std::optional<std::chrono::milliseconds> last_updated;
};

/* The value in force of a table property: see engine_property_value. */
struct PropertyValue {
    engine_property_kind kind;
    bool is_set;
    std::int64_t number;
    std::string_view text;
};

namespace detail {

/* Options for C, which point into those they are made of. */
class COptions {
public:
    explicit COptions(const SnapshotOptions& options) {
        c_.struct_size = sizeof c_;
        if (options.version) {
            c_.flags |= ENGINE_SNAPSHOT_AT_VERSION;
            c_.version = *options.version;
        }
        if (options.timestamp) {
            c_.flags |= ENGINE_SNAPSHOT_AT_TIMESTAMP;
            c_.timestamp_ms = options.timestamp->count();
        }
        if (!options.catalog) return;
        for (const CatalogCommit& commit : options.catalog->commits) {
            engine_catalog_commit c{};
            c.version = commit.version;
            if (commit.staged_name) c.staged_name = c_str(*commit.staged_name);
            if (commit.content) {
                c.content = commit.content->data();
                c.content_len = commit.content->size();
            }
            commits_.push_back(c);
        }
        c_.flags |= ENGINE_SNAPSHOT_WITH_CATALOG;
        c_.catalog_version = options.catalog->version;
        c_.catalog_commits = commits_.data();
        c_.catalog_commits_len = commits_.size();
    }
    COptions(const COptions&) = delete;
    COptions& operator=(const COptions&) = delete;

    const engine_snapshot_options* get() const noexcept { return &c_; }

private:
    engine_snapshot_options c_{};
    std::vector<engine_catalog_commit> commits_;
};

}  // namespace detail

/* One version of one table. */
class Snapshot {
public:
    /* The same table as it is now, or as the options say, for the price of what
     * is new. This one stays as it is. */
    Snapshot refresh(const SnapshotOptions& options = {}) const {
        const detail::COptions c(options);
        engine_snapshot* snapshot = nullptr;
        engine_error error;
        detail::check(engine_snapshot_refresh(handle_.get(), c.get(), &snapshot, &error), error);
        return Snapshot(snapshot);
    }

    std::uint64_t version() const noexcept { return engine_snapshot_version(handle_.get()); }

    std::chrono::milliseconds timestamp() const {
        std::int64_t ms = 0;
        engine_error error;
        detail::check(engine_snapshot_timestamp_ms(handle_.get(), &ms, &error), error);
        return std::chrono::milliseconds(ms);
    }

    std::string_view table_root() const { return text(engine_snapshot_table_root(handle_.get())); }
    std::string_view schema_json() const { return text(engine_snapshot_schema_json(handle_.get())); }
    std::string_view table_id() const { return text(engine_snapshot_table_id(handle_.get())); }

    std::optional<std::string_view> table_name() const {
        return detail::view(engine_snapshot_table_name(handle_.get()));
    }
    std::optional<std::string_view> table_description() const {
        return detail::view(engine_snapshot_table_description(handle_.get()));
    }

    Schema schema() const {
        Schema schema;
        engine_error error;
        detail::check(engine_snapshot_schema(handle_.get(), schema.put(), &error), error);
        return schema;
    }

    std::vector<std::string_view> partition_columns() const {
        std::vector<std::string_view> names;
        const std::size_t count = engine_snapshot_partition_column_count(handle_.get());
        for (std::size_t i = 0; i < count; i++)
            names.push_back(text(engine_snapshot_partition_column_at(handle_.get(), i)));
        return names;
    }

    std::vector<std::pair<std::string_view, std::string_view>> properties() const {
        std::vector<std::pair<std::string_view, std::string_view>> properties;
        const std::size_t count = engine_snapshot_property_count(handle_.get());
        for (std::size_t i = 0; i < count; i++) {
            const engine_property p = engine_snapshot_property_at(handle_.get(), i);
            properties.emplace_back(text(p.key), text(p.value));
        }
        return properties;
    }

    /* Nothing when the table does not set it. */
    std::optional<std::string_view> property(const std::string& key) const {
        engine_str value{};
        engine_error error;
        if (!found(engine_snapshot_property(handle_.get(), detail::c_str(key), &value, &error), error))
            return std::nullopt;
        return detail::view(value);
    }

    /* The value in force; nothing when the property is not known, or not set
     * and without a default. */
    std::optional<PropertyValue> property_in_force(const std::string& key) const {
        engine_property_value value{};
        engine_error error;
        if (!found(engine_snapshot_property_in_force(handle_.get(), detail::c_str(key), &value, &error),
                   error))
            return std::nullopt;
        return PropertyValue{value.kind, value.is_set != 0, value.number, text(value.text)};
    }

    /* Names and SQL. */
    std::vector<std::pair<std::string_view, std::string_view>> check_constraints() const {
        std::vector<std::pair<std::string_view, std::string_view>> constraints;
        const std::size_t count = engine_snapshot_check_constraint_count(handle_.get());
        for (std::size_t i = 0; i < count; i++) {
            const engine_property c = engine_snapshot_check_constraint_at(handle_.get(), i);
            constraints.emplace_back(text(c.key), text(c.value));
        }
        return constraints;
    }

    engine_protocol protocol() const noexcept { return engine_snapshot_protocol(handle_.get()); }

    /* Nothing when the application never committed. */
    std::optional<std::int64_t> txn_version(const std::string& app_id) const {
        std::int64_t version = 0;
        engine_error error;
        if (!found(engine_snapshot_txn_version(handle_.get(), detail::c_str(app_id), &version, &error),
                   error))
            return std::nullopt;
        return version;
    }

    /* Nothing when there is no such domain. */
    std::optional<std::string_view> domain_metadata(const std::string& domain) const {
        engine_str value{};
        engine_error error;
        if (!found(engine_snapshot_domain_metadata(handle_.get(), detail::c_str(domain), &value, &error),
                   error))
            return std::nullopt;
        return detail::view(value);
    }

    std::vector<Txn> txns() const {
        std::vector<Txn> txns;
        engine_txn txn{};
        engine_error error;
        while (more(engine_snapshot_txn_at(handle_.get(), txns.size(), &txn, &error), error)) {
            std::optional<std::chrono::milliseconds> last_updated;
            if (txn.last_updated_ms != ENGINE_TIME_NONE)
                last_updated = std::chrono::milliseconds(txn.last_updated_ms);
            txns.push_back({text(txn.app_id), txn.version, last_updated});
        }
        return txns;
    }

    /* Names and configurations. */
    std::vector<std::pair<std::string_view, std::string_view>> domains() const {
        std::vector<std::pair<std::string_view, std::string_view>> domains;
        engine_property d{};
        engine_error error;
        while (more(engine_snapshot_domain_at(handle_.get(), domains.size(), &d, &error), error))
            domains.emplace_back(text(d.key), text(d.value));
        return domains;
    }

    /* The names on the way to each; nothing when the table is not clustered. */
    std::optional<std::vector<std::vector<std::string_view>>> clustering_columns() const {
        std::vector<std::vector<std::string_view>> columns;
        for (;;) {
            engine_column_path path{};
            engine_error error;
            const engine_status status =
                engine_snapshot_clustering_column_at(handle_.get(), columns.size(), &path, &error);
            if (status == ENGINE_STATUS_END) return columns;
            if (!found(status, error)) return std::nullopt;
            std::vector<std::string_view>& names = columns.emplace_back();
            for (std::size_t i = 0; i < path.names_len; i++) names.push_back(text(path.names[i]));
        }
    }

    /* Nothing when the table tracks no rows. */
    std::optional<std::int64_t> row_id_high_water_mark() const {
        std::int64_t highest = 0;
        engine_error error;
        if (!found(engine_snapshot_row_id_high_water_mark(handle_.get(), &highest, &error), error))
            return std::nullopt;
        return highest;
    }

    /* Nothing when this version has no checksum. */
    std::optional<engine_file_statistics> file_statistics() const {
        engine_file_statistics statistics{};
        statistics.struct_size = sizeof statistics;
        engine_error error;
        if (!found(engine_snapshot_file_statistics(handle_.get(), &statistics, &error), error))
            return std::nullopt;
        return statistics;
    }

    engine_origin origin() const {
        engine_origin origin{};
        origin.struct_size = sizeof origin;
        engine_error error;
        detail::check(engine_snapshot_origin(handle_.get(), &origin, &error), error);
        return origin;
    }

    Scan scan(const ScanOptions& options = {}) const {
        const std::vector<const char*> columns = c_strs(options.columns);
        const std::vector<const char*> kinds = c_strs(options.action_kinds);
        engine_scan_options c{};
        c.struct_size = sizeof c;
        c.columns = columns.empty() ? nullptr : columns.data();
        c.columns_len = columns.size();
        c.action_kinds = kinds.empty() ? nullptr : kinds.data();
        c.action_kinds_len = kinds.size();
        c.threads = options.threads;
        c.window_bytes = options.window_bytes;
        c.window_units = options.window_units;
        c.batch_rows = options.batch_rows;
        if (options.last_action_wins) c.flags |= ENGINE_SCAN_LAST_ACTION_WINS;
        if (options.disagreements_warn) c.flags |= ENGINE_SCAN_DISAGREEMENTS_WARN;
        if (options.unordered) c.flags |= ENGINE_SCAN_UNORDERED;
        if (options.reads_outside_root) c.flags |= ENGINE_SCAN_READS_OUTSIDE_ROOT;
        if (options.whole_files) c.flags |= ENGINE_SCAN_WHOLE_FILES;
        c.row_limit = options.row_limit;
        c.where = options.where ? detail::c_str(*options.where) : nullptr;
        c.predicate = options.predicate == nullptr ? nullptr : options.predicate->get();
        engine_scan* scan = nullptr;
        engine_error error;
        detail::check(engine_scan_new(handle_.get(), &c, &scan, &error), error);
        return Scan(scan);
    }

    engine_snapshot* get() const noexcept { return handle_.get(); }

private:
    friend class Engine;
    explicit Snapshot(engine_snapshot* handle) : handle_(handle) {}

    static std::string_view text(engine_str text) {
        return text.data == nullptr ? std::string_view() : std::string_view(text.data, text.len);
    }
    static std::vector<const char*> c_strs(const std::vector<std::string>& names) {
        std::vector<const char*> pointers;
        for (const std::string& name : names) pointers.push_back(detail::c_str(name));
        return pointers;
    }
    static bool found(engine_status status, const engine_error& error) {
        if (status == ENGINE_STATUS_NOT_FOUND) return false;
        detail::check(status, error);
        return true;
    }
    static bool more(engine_status status, const engine_error& error) {
        if (status == ENGINE_STATUS_END) return false;
        detail::check(status, error);
        return true;
    }

    detail::Handle<engine_snapshot, engine_snapshot_free> handle_;
};

/* A pool of workers; one for a process is enough. */
class Engine {
public:
    Engine() : Engine(nullptr) {}
    explicit Engine(const engine_options& options) : Engine(&options) {}

    /* The latest version, or the one that the options say. */
    Snapshot open(const std::string& table, const SnapshotOptions& options = {}) const {
        const detail::COptions c(options);
        engine_snapshot* snapshot = nullptr;
        engine_error error;
        detail::check(
            engine_snapshot_open_with(handle_.get(), detail::c_str(table), c.get(), &snapshot, &error),
            error);
        return Snapshot(snapshot);
    }

    Snapshot open_at(const std::string& table, std::uint64_t version) const {
        engine_snapshot* snapshot = nullptr;
        engine_error error;
        detail::check(
            engine_snapshot_open_at(handle_.get(), detail::c_str(table), version, &snapshot, &error), error);
        return Snapshot(snapshot);
    }

    /* The latest version that was committed at or before a time since 1970 in UTC. */
    std::uint64_t version_at_or_before(const std::string& table, std::chrono::milliseconds time,
                                       const SnapshotOptions& options = {}) const {
        return version_at(engine_version_at_or_before, table, time, options);
    }

    /* The first version that was committed at or after a time since 1970 in UTC. */
    std::uint64_t version_at_or_after(const std::string& table, std::chrono::milliseconds time,
                                      const SnapshotOptions& options = {}) const {
        return version_at(engine_version_at_or_after, table, time, options);
    }

    engine* get() const noexcept { return handle_.get(); }

private:
    std::uint64_t version_at(decltype(engine_version_at_or_after)* find, const std::string& table,
                             std::chrono::milliseconds time, const SnapshotOptions& options) const {
        const detail::COptions c(options);
        std::uint64_t version = 0;
        engine_error error;
        detail::check(
            find(handle_.get(), detail::c_str(table), c.get(), time.count(), &version, &error), error);
        return version;
    }

    explicit Engine(const engine_options* options) {
        engine* made = nullptr;
        engine_error error;
        detail::check(engine_new(options, &made, &error), error);
        handle_.reset(made);
    }

    detail::Handle<engine, engine_free> handle_;
};

}  // namespace delta_engine

#endif /* DELTA_ENGINE_HPP */
