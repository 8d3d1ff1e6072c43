//! A run as a trace in the Trace Event Format, which Perfetto and Chrome open.
//!
//! One event stands on each line, so that a trace can be looked at with a
//! text tool too. Times are microseconds from the start of the program.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

use crate::recording::{Run, word};

const PROCESS: u32 = 1;

/// Writes `run` as one JSON object.
pub(crate) fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let about = json!({
        "table": run.table,
        "threads": run.threads(),
        "wall_ms": run.wall.as_secs_f64() * 1e3,
        "cores_used": run.cores_used(),
        "failure": run.failure,
    });
    writeln!(out, "{{\"displayTimeUnit\":\"ms\",\"otherData\":{about},\"traceEvents\":[")?;
    let process = format!("delta-engine files {}", run.table);
    write!(out, "{}", metadata("process_name", 0, &json!({"name": process})))?;
    for (thread, lane) in run.lanes.iter().enumerate() {
        write!(out, ",\n{}", metadata("thread_name", thread, &json!({"name": lane.name})))?;
        write!(
            out,
            ",\n{}",
            metadata("thread_sort_index", thread, &json!({"sort_index": thread}))
        )?;
        for doing in &lane.doings {
            let kind = word(doing.kind);
            let event = json!({
                // The viewers colour by the name's first words.
                "name": format!("{kind} {}", doing.name),
                "cat": kind,
                "ph": "X",
                "pid": PROCESS,
                "tid": thread,
                "ts": micros(doing.start),
                "dur": micros(doing.end) - micros(doing.start),
                "args": {"unit": doing.name},
            });
            write!(out, ",\n{event}")?;
        }
    }
    writeln!(out, "\n]}}")
}

fn metadata(what: &str, thread: usize, args: &Value) -> Value {
    json!({"name": what, "ph": "M", "pid": PROCESS, "tid": thread, "ts": 0, "args": args})
}

fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}
