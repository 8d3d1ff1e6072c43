//! Programs that know Arrow and not this library read a table's rows by the
//! exported C stream, handed over in a few lines of Python: `tests/clients/`.
//!
//! They are installed below the target folder when they are first asked for;
//! where that does not work, this says so and passes.
mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};

use common::{EVERY_TYPE, canonical, every_type};

const PACKAGES: [&str; 4] =
    ["pyarrow==22.0.0", "nanoarrow==0.9.0", "duckdb==2.0.0", "polars==2.1.0"];
const CLIENTS: [&str; 4] = ["pyarrow", "nanoarrow", "duckdb", "polars"];

#[test]
fn every_client_reads_the_rows_that_the_command_line_prints() {
    let Some(python) = python() else { return };
    let table = every_type();
    let expected = |columns: &[&str]| {
        let mut rows = Command::new(env!("CARGO_BIN_EXE_delta-engine"));
        rows.arg("rows").arg(table.root()).args(["--format", "jsonl"]);
        lines_of(rows.args(["--columns", &columns.join(",")]))
    };
    let all: Vec<_> = EVERY_TYPE.into_iter().chain(["part"]).collect();
    assert_eq!(expected(&all).len(), 5);
    // It has no values to give for maps, and wrong ones for negative decimals of
    // more than 64 bits.
    let is_known = |name: &&str| !["map", "decimal"].contains(name);
    let known_to_nanoarrow: Vec<_> = all.iter().copied().filter(is_known).collect();
    for client in CLIENTS {
        let columns = if client == "nanoarrow" { &known_to_nanoarrow } else { &all };
        let found = lines_of(&mut read_rows(python, &table.root(), client, columns));
        assert_eq!(found, expected(columns), "{client}");
        let columns = ["part", "struct.b", "long"];
        let found = lines_of(&mut read_rows(python, &table.root(), client, &columns));
        assert_eq!(found, expected(&columns), "{client}");
    }
}

#[test]
fn no_client_takes_a_stream_that_fails_for_one_of_fewer_rows() {
    let Some(python) = python() else { return };
    let table = every_type().delete_file("part=1/b b.parquet");
    for client in CLIENTS {
        let output = read_rows(python, &table.root(), client, &["long"]).output().unwrap();
        let says = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && output.stdout.is_empty(), "{client}: {says}");
        assert!(says.contains("part=1/b"), "{client} does not say why: {says}");
    }
}

fn read_rows(python: &Path, table: &Path, client: &str, columns: &[&str]) -> Command {
    let deps = env::current_exe().unwrap().parent().unwrap().to_owned();
    let mut command = Command::new(python);
    // Nothing is written beside the scripts.
    command.arg("-B").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/read_rows.py"));
    command.arg(deps.join("libdelta_engine.so")).arg(table).arg(client).args(columns);
    command
}

/// The rows that `command` prints.
#[track_caller]
fn lines_of(command: &mut Command) -> Vec<String> {
    let output = command.output().unwrap();
    let says = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {says}", output.status);
    String::from_utf8(output.stdout).unwrap().lines().map(canonical).collect()
}

/// A Python that has the clients, if there can be one here.
fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match PYTHON.get_or_init(install) {
        Ok(python) => Some(python),
        Err(error) => {
            println!("skipped: no Python with {}: {error}", PACKAGES.join(", "));
            None
        }
    }
}

fn install() -> Result<PathBuf, String> {
    let target = env::current_exe().map_err(|e| e.to_string())?;
    let target = target.ancestors().nth(2).ok_or("no target folder")?;
    let environment = target.join("arrow-clients");
    let python = environment.join("bin/python");
    // Written last, so an installation that was interrupted is none.
    let finished = environment.join("finished");
    let packages = PACKAGES.join(" ");
    if fs::read_to_string(&finished).is_ok_and(|text| text == packages) {
        return Ok(python);
    }
    let run = |command: &mut Command| {
        let output = command.output().map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    };
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
    let install = ["-m", "pip", "install", "-q", "--only-binary", ":all:", "--retries", "1"];
    run(Command::new(&python).args(install).args(PACKAGES))?;
    fs::write(&finished, packages).map_err(|error| error.to_string())?;
    Ok(python)
}
