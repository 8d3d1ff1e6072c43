//! The checked-in C header is the one that the exported functions make.

use std::path::Path;

/// The files of `src/ffi` that export something, in the header's order.
const SOURCES: [&str; 10] = [
    "status.rs",
    "text.rs",
    "input.rs",
    "engine.rs",
    "open.rs",
    "snapshot.rs",
    "look_up.rs",
    "predicate.rs",
    "scan.rs",
    "stream.rs",
];

#[test]
fn the_checked_in_header_is_what_the_sources_make() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in SOURCES {
        builder = builder.with_src(root.join("src/ffi").join(source));
    }
    let mut made = Vec::new();
    builder.generate().unwrap().write(&mut made);
    let made = String::from_utf8(made).unwrap();

    let path = root.join("include/delta_engine.h");
    if std::env::var_os("DELTA_ENGINE_WRITE_HEADER").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let checked_in = std::fs::read_to_string(&path).unwrap();
    for (i, (made, checked_in)) in made.lines().zip(checked_in.lines()).enumerate() {
        assert_eq!(
            made,
            checked_in,
            "line {}; DELTA_ENGINE_WRITE_HEADER=1 cargo test --test header writes the header",
            i + 1
        );
    }
    assert_eq!(made.len(), checked_in.len(), "one of the two is longer");

    // No file that exports something was forgotten above.
    for entry in std::fs::read_dir(root.join("src/ffi")).unwrap() {
        let source = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in source.lines() {
            if let Some(rest) = line.strip_prefix("pub extern \"C\" fn ") {
                let name = rest.split('(').next().unwrap();
                assert!(made.contains(&format!("{name}(")), "{name} is not in the header");
            }
        }
    }
}
