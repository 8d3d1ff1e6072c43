//! What `files --trace` and `files --timeline` draw of a run, read back.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use roxmltree::Document;
use serde_json::Value;
use tempfile::TempDir;

/// A folder of tables and of pictures.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A table of this shape.
    fn demo(&self, shape: &str, files: &str) -> PathBuf {
        let root = self.path(shape);
        let made = Command::new(env!("CARGO_BIN_EXE_delta-engine"))
            .args(["demo", "--shape", shape, "--files", files, "--keep"])
            .arg(&root)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", stderr(&made));
        root
    }

    /// A table of these commits, after one of protocol and metadata.
    fn table(&self, name: &str, commits: &[&str]) -> PathBuf {
        let root = self.path(name);
        let log = root.join("_delta_log");
        fs::create_dir_all(&log).unwrap();
        let head = r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}
{"metaData":{"id":"t","format":{"provider":"parquet","options":{}},"schemaString":"{\"type\":\"struct\",\"fields\":[]}","partitionColumns":[],"configuration":{}}}
"#;
        for (version, text) in [head].iter().chain(commits).enumerate() {
            fs::write(log.join(format!("{version:020}.json")), text).unwrap();
        }
        root
    }

    /// Lists `table` into nothing, and draws it both ways.
    fn draw(&self, table: &Path, threads: usize) -> (Output, Trace, String) {
        let output = self.files(table, threads).args(["--format", "none"]).output().unwrap();
        let trace = Trace::read(&self.path("run.json"));
        (output, trace, fs::read_to_string(self.path("run.svg")).unwrap())
    }

    fn files(&self, table: &Path, threads: usize) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_delta-engine"));
        command.arg("files").arg(table).args(["--threads", &threads.to_string()]);
        command.arg("--trace").arg(self.path("run.json"));
        command.arg("--timeline").arg(self.path("run.svg"));
        command
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A trace, read back.
struct Trace {
    about: Value,
    lanes: Vec<String>,
    spans: Vec<Span>,
}

#[derive(Debug)]
struct Span {
    lane: u64,
    kind: String,
    unit: String,
    start_us: f64,
    end_us: f64,
}

impl Trace {
    fn read(path: &Path) -> Trace {
        let whole: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let (mut lanes, mut spans) = (Vec::new(), Vec::new());
        for event in whole["traceEvents"].as_array().unwrap() {
            assert_eq!(event["pid"], 1, "{event}");
            match (event["ph"].as_str().unwrap(), event["name"].as_str().unwrap()) {
                ("M", "thread_name") => {
                    assert_eq!(event["tid"], lanes.len(), "{event}");
                    lanes.push(event["args"]["name"].as_str().unwrap().to_owned());
                }
                ("M", _) => {}
                ("X", name) => {
                    let kind = event["cat"].as_str().unwrap().to_owned();
                    let unit = event["args"]["unit"].as_str().unwrap().to_owned();
                    assert_eq!(name, format!("{kind} {unit}"));
                    let start_us = event["ts"].as_f64().unwrap();
                    let end_us = start_us + event["dur"].as_f64().unwrap();
                    let lane = event["tid"].as_u64().unwrap();
                    spans.push(Span { lane, kind, unit, start_us, end_us });
                }
                _ => panic!("{event}"),
            }
        }
        Trace { about: whole["otherData"].clone(), lanes, spans }
    }

    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Span> {
        self.spans.iter().filter(move |span| span.kind == kind)
    }

    /// The names of the decoded units, each of which must be there once.
    fn decoded(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        for span in self.of_kind("decode") {
            assert!(names.insert(span.unit.as_str()), "{} is there twice", span.unit);
        }
        names
    }
}

/// The lanes of a timeline that is well-formed.
fn lanes_of(svg: &str) -> Vec<String> {
    let picture = Document::parse(svg).unwrap_or_else(|e| panic!("{e}\n{svg}"));
    assert_eq!(picture.root_element().tag_name().name(), "svg");
    let lanes =
        picture.descendants().filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "g")));
    lanes.map(|lane| lane.first_element_child().unwrap().text().unwrap().to_owned()).collect()
}

#[test]
fn every_thread_has_a_lane_and_every_unit_is_decoded_once() {
    let folder = Folder::new();
    let table = folder.demo("checkpoint_100k", "24000");
    let mut serial = BTreeSet::new();
    for threads in [0_usize, 1, 3] {
        let (output, trace, svg) = folder.draw(&table, threads);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(trace.about["failure"], Value::Null);
        assert_eq!(trace.about["threads"], threads);

        let workers = (0..threads).map(|i| format!("worker {i}"));
        let expected: Vec<_> = ["consumer".to_owned()].into_iter().chain(workers).collect();
        assert_eq!(trace.lanes, expected);
        assert_eq!(lanes_of(&svg), expected);
        assert!(trace.spans.iter().all(|span| span.lane <= threads as u64));
        assert!(trace.of_kind("decode").all(|span| (span.lane > 0) == (threads > 0)));
        assert!(trace.of_kind("list").all(|span| span.lane == 0));
        assert!(threads > 0 || trace.of_kind("wait").count() == 0);

        // The same units whatever the number of threads, and all rows in them.
        let units: BTreeSet<_> = trace.decoded().into_iter().map(str::to_owned).collect();
        if threads == 0 {
            assert!(units.len() > 2, "{units:?}");
            let mut rows: Vec<_> = units.iter().filter_map(|unit| rows(unit)).collect();
            rows.sort_by_key(|rows| rows.start);
            assert_eq!(rows.first().map(|rows| rows.start), Some(0), "{units:?}");
            assert!(rows.windows(2).all(|pair| pair[0].end == pair[1].start), "{units:?}");
            serial = units;
        } else {
            assert_eq!(units, serial);
        }
        // What commits hold is reconciled in order, by the consumer alone; of
        // the checkpoint, what was decoded before the commits were all in.
        let probed: BTreeSet<_> = trace.of_kind("probe").map(|span| span.unit.clone()).collect();
        let is_commit = |unit: &&String| unit.contains(".json");
        assert!(trace.of_kind("probe").all(|span| span.lane == 0));
        assert!(probed.is_subset(&serial), "{probed:?}");
        assert!(serial.iter().filter(is_commit).count() > 0);
        assert!(serial.iter().filter(is_commit).all(|unit| probed.contains(unit)), "{probed:?}");
    }
}

/// The rows that a unit's name speaks of.
fn rows(unit: &str) -> Option<Range<u64>> {
    let (_, rows) = unit.split_once(" rows ")?;
    let (start, end) = rows.split_once("..")?;
    Some(start.parse().unwrap()..end.parse().unwrap())
}

#[test]
fn the_spans_of_a_lane_do_not_overlap_and_lie_within_the_run() {
    /// Microseconds are rounded to nanoseconds.
    const ROUNDING_US: f64 = 0.002;
    let folder = Folder::new();
    let table = folder.demo("sidecars_1m", "2000");
    for threads in [0, 2] {
        let (_, mut trace, _) = folder.draw(&table, threads);
        let wall_us = trace.about["wall_ms"].as_f64().unwrap() * 1e3;
        assert!(trace.spans.len() > 20, "{:?}", trace.spans);
        trace
            .spans
            .sort_by(|a, b| (a.lane, a.start_us).partial_cmp(&(b.lane, b.start_us)).unwrap());
        for pair in trace.spans.windows(2) {
            let [a, b] = pair else { unreachable!() };
            assert!(a.lane != b.lane || a.end_us <= b.start_us + ROUNDING_US, "{a:?} {b:?}");
        }
        for span in &trace.spans {
            assert!(span.start_us >= 0.0 && span.end_us <= wall_us + ROUNDING_US, "{span:?}");
        }
    }
}

#[test]
fn a_table_of_no_files_is_drawn_and_its_name_may_be_odd() {
    let folder = Folder::new();
    let odd = "<&\"'>\u{1}ü";
    let table = folder.table(odd, &[]);
    for threads in [0, 2] {
        let (output, trace, svg) = folder.draw(&table, threads);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(trace.about["table"], table.to_str().unwrap());
        assert_eq!(trace.decoded().len(), 1);
        assert_eq!(lanes_of(&svg).len(), threads + 1);
        let picture = Document::parse(&svg).unwrap();
        let title = picture.root_element().first_element_child().unwrap().text().unwrap();
        assert!(title.ends_with("/<&\"'>\\u{1}ü"), "{title}");
    }
}

#[test]
fn a_listing_that_fails_is_drawn_up_to_there() {
    let folder = Folder::new();
    let table = folder.table("t", &["{\"add\":{\"path\":\"b\",\"si", ""]);
    for threads in [0, 2] {
        let (output, trace, svg) = folder.draw(&table, threads);
        assert_eq!(output.status.code(), Some(1));
        let line = stderr(&output);
        assert!(line.contains("00000000000000000001.json"), "{line}");
        let failure = trace.about["failure"].as_str().unwrap();
        assert_eq!(line, format!("delta-engine: {failure}\n"));
        assert!(svg.contains("not complete") && trace.spans.len() > 1, "{svg}");
        assert_eq!(lanes_of(&svg).len(), threads + 1);

        let nowhere = folder.path("nowhere");
        let (output, trace, svg) = folder.draw(&nowhere, threads);
        assert_eq!(output.status.code(), Some(1));
        assert!(trace.about["failure"].as_str().unwrap().contains("nowhere"));
        assert_eq!(lanes_of(&svg).len(), threads + 1);
    }
}

#[test]
fn a_listing_whose_reader_leaves_is_drawn_up_to_there() {
    let folder = Folder::new();
    let table = folder.demo("checkpoint_100k", "3000");
    let mut child = folder
        .files(&table, 2)
        .args(["--format", "jsonl"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut first = [0];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert!(child.wait().unwrap().success());
    let trace = Trace::read(&folder.path("run.json"));
    assert!(trace.about["failure"].as_str().unwrap().contains("reader"), "{}", trace.about);
    assert!(!trace.spans.is_empty());
    lanes_of(&fs::read_to_string(folder.path("run.svg")).unwrap());
}

#[test]
fn a_picture_that_cannot_be_written_is_said_before_the_listing() {
    let folder = Folder::new();
    let table = folder.table("t", &[]);
    for option in ["--trace", "--timeline"] {
        let output = Command::new(env!("CARGO_BIN_EXE_delta-engine"))
            .arg("files")
            .arg(&table)
            .arg(option)
            .arg(folder.path("no/such/folder"))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(output.stdout, b"");
        assert!(stderr(&output).contains("cannot write"), "{}", stderr(&output));
    }
}
