// The C++ wrapper: handles free themselves, errors are exceptions, batches
// come in a range-for.
#include "delta_engine.hpp"

#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

using namespace delta_engine;

static_assert(!std::is_copy_constructible_v<Engine> && std::is_move_constructible_v<Engine>);
static_assert(!std::is_copy_constructible_v<Snapshot> && std::is_move_constructible_v<Snapshot>);
static_assert(!std::is_copy_constructible_v<BatchStream>);
static_assert(!std::is_copy_constructible_v<Batch> && std::is_nothrow_move_assignable_v<Batch>);

static void check(bool condition, const char* what) {
    if (!condition) throw std::runtime_error(what);
}

static engine_status status_of(const std::function<void()>& call);

static void run(const std::string& table, std::size_t live_files) {
    Engine engine;
    Snapshot snapshot = engine.open(table);
    check(snapshot.version() == 2, "version");
    check(snapshot.table_name() == "table \u00fc", "name");
    check(!snapshot.table_description(), "description");
    check(snapshot.partition_columns().at(0) == "day", "partition column");
    check(snapshot.properties().size() == 5, "properties");
    check(snapshot.property("owner") == "", "property");
    check(!snapshot.property("none"), "no property");
    check(snapshot.txn_version("loader") == 42, "txn");
    check(snapshot.domain_metadata("app.settings") == "{\"a\":1}", "domain");
    check(snapshot.schema().columns() == 3, "schema");
    check(snapshot.schema().name(0) == "id", "column name");
    check(snapshot.timestamp().count() > 0, "timestamp");
    check(engine.open_at(table, 0).version() == 0, "open_at");

    // What is known of the table beside that.
    check(snapshot.property_in_force("delta.enableExpiredLogCleanup")->number == 1, "in force");
    check(snapshot.property_in_force("delta.isolationLevel")->text == "WriteSerializable", "text");
    check(!snapshot.property_in_force("owner"), "not known");
    check(snapshot.check_constraints().at(0).first == "recent", "constraint");
    check(snapshot.txns().size() == 2, "txns");
    check(!snapshot.txns().at(0).last_updated && snapshot.txns().at(1).last_updated, "last updated");
    check(snapshot.domains().at(1).first == "delta.clustering", "domains");
    check(snapshot.clustering_columns()->at(1).at(1) == "city", "clustering columns");
    check(snapshot.row_id_high_water_mark() == 2999, "row id");
    check(snapshot.file_statistics()->num_files == live_files, "statistics");
    check(snapshot.origin().commits == 3, "origin");

    // Another version of the same table, and the latest again.
    SnapshotOptions options;
    options.version = 0;
    Snapshot oldest = engine.open(table, options);
    check(oldest.version() == 0, "open with a version");
    check(!oldest.clustering_columns() && !oldest.file_statistics(), "nothing");
    check(!oldest.row_id_high_water_mark(), "no row ids");
    check(oldest.refresh().version() == 2, "refresh");
    check(snapshot.refresh(options).version() == 0, "refresh to a version");
    const std::chrono::milliseconds day(24 * 60 * 60 * 1000);
    const std::chrono::milliseconds now = oldest.timestamp();
    check(engine.version_at_or_before(table, now + day) == 2, "before");
    check(engine.version_at_or_after(table, now - day) == 0, "after");
    options.timestamp = now - day;
    check(status_of([&] { engine.open(table, options); }) == ENGINE_STATUS_NOT_FOUND, "too early");
    options.timestamp.reset();
    options.catalog = Catalog{1, {{0, std::nullopt, std::nullopt}, {1, std::nullopt, "{}\n"}}};
    check(status_of([&] { engine.open(table, options); }) == ENGINE_STATUS_INVALID_ARGUMENT,
          "a catalog of another table");

    // The loop.
    std::size_t rows = 0;
    BatchStream files = snapshot.scan({"path", "size"}).files();
    check(files.schema().name(1) == "size", "stream schema");
    for (auto& batch : files) {
        check(batch.array().n_children == 2, "two columns");
        rows += batch.rows();
    }
    check(rows == live_files, "rows");
    check(!files.next(), "after the end, the end");
    check(files.progress().rows_delivered == live_files, "progress");

    // What happened between two versions, and in some commits.
    rows = 0;
    BatchStream changes = snapshot.scan({"change", "path"}).changes_since(1);
    for (auto& batch : changes) rows += batch.rows();
    check(rows == 1000 + 250, "changes");
    ScanOptions txns;
    txns.action_kinds = {"txn"};
    rows = 0;
    BatchStream actions = snapshot.scan(txns).actions(0, 2);
    for (auto& batch : actions) rows += batch.rows();
    check(rows == 2, "actions");
    rows = 0;
    BatchStream history = snapshot.scan({"version", "operation"}).history(2);
    for (auto& batch : history) rows += batch.rows();
    check(rows == 2, "history");
    check(status_of([&] { snapshot.scan({}).change_rows(0); }) == ENGINE_STATUS_UNSUPPORTED,
          "a table that records no changes of rows");

    // Conditions on rows.
    const Predicate wanted =
        column("day") >= Value::date(19723) && (column("place.city").in({"Bonn", nullptr}) || !column("id").is_null());
    check(wanted.text() ==
              "day >= DATE '2024-01-01' AND (place.city IN ('Bonn', NULL) OR id IS NOT NULL)",
          "predicate");
    check(Predicate::parse(std::string(wanted.text())).text() == wanted.text(), "parse");
    const Predicate values = Predicate::all_of({});
    check(values.text() == "TRUE" && Predicate::any_of({}).text() == "FALSE", "none");
    const Column v("v");
    check((v == true).text() == "v = TRUE" && (v != 5).text() == "v <> 5", "values");
    check((v < 0.5).text() == "v < 5e-1" && (v <= std::int64_t{1} << 40).text() == "v <= 1099511627776",
          "numbers");
    check((v > Value::decimal(-150, 2)).text() == "v > -1.50", "decimal");
    check((v > Value::decimal(1, 0, 0)).text() == "v > 18446744073709551616.", "wide decimal");
    check((v == Value::binary(std::string("\0a", 2))).text() == "v = X'0061'", "binary");
    check((v == Value(std::string("a\0b", 3))).text() == std::string_view("v = 'a\0b'", 9), "text");
    check((v == Value::timestamp(std::chrono::seconds(1))).text() ==
              "v = TIMESTAMP '1970-01-01 00:00:01.000000Z'",
          "timestamp");
    check((v == Value::timestamp_ntz(std::chrono::seconds(0))).text() ==
              "v = TIMESTAMP_NTZ '1970-01-01 00:00:00.000000'",
          "wall clock");
    check((v.day() < Value::date(0)).text() == "CAST(v AS DATE) < DATE '1970-01-01'", "day");
    check(v.day().in({Value::date(0), Value::date(1)}).text() ==
              "CAST(v AS DATE) = DATE '1970-01-01' OR CAST(v AS DATE) = DATE '1970-01-02'",
          "days");
    check(v.like("a%").text() == "v LIKE 'a%'", "like");
    check(status_of([&] { Predicate::parse("day ="); }) == ENGINE_STATUS_INVALID_ARGUMENT, "bad SQL");
    ScanOptions none;
    none.where = "colour = 'red'";
    check(status_of([&] { snapshot.scan(none); }) == ENGINE_STATUS_INVALID_ARGUMENT, "no such column");

    // A batch can be moved out of the loop, and outlives everything.
    std::vector<Batch> kept;
    {
        ScanOptions small;
        small.batch_rows = 500;
        BatchStream stream = Engine().open(table).scan(small).files();
        for (auto& batch : stream) kept.push_back(std::move(batch));
    }
    rows = 0;
    for (const Batch& batch : kept) rows += batch.rows();
    check(kept.size() > 1 && rows == live_files, "kept rows");

    // An error is an exception with a status.
    check(status_of([&] { engine.open(table + "/none"); }) == ENGINE_STATUS_NOT_FOUND, "none");
    check(status_of([&] { snapshot.scan({"colour"}).files(); }) != ENGINE_STATUS_OK, "column");
    check(status_of([&] { engine.open(std::string("a\0b", 3)); }) == ENGINE_STATUS_INVALID_ARGUMENT,
          "NUL");
    BatchStream cancelled = snapshot.scan().files();
    cancelled.cancel();
    check(status_of([&] { while (cancelled.next()) {} }) == ENGINE_STATUS_CANCELLED, "cancel");

    // As an Arrow stream.
    BatchStream handed_over = snapshot.scan().files();
    ArrowStream arrow = handed_over.to_arrow();
    check(status_of([&] { handed_over.next(); }) == ENGINE_STATUS_MISUSE, "handed over");
    ArrowStream moved = std::move(arrow);
    Batch batch;
    check(moved.get()->get_next(moved.get(), batch.put()) == 0 && batch.rows() > 0, "get_next");
}

static engine_status status_of(const std::function<void()>& call) {
    try {
        call();
        return ENGINE_STATUS_OK;
    } catch (const Error& error) {
        return error.status();
    }
}

int main(int argc, char** argv) {
    if (argc < 3) return 1;
    try {
        run(argv[1], std::stoull(argv[2]));
        return 0;
    } catch (const std::exception& e) {
        std::cerr << e.what() << '\n';
        return 1;
    }
}
