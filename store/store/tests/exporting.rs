//! What leaves the store in clear: the same bytes, on purpose, and on record.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first surprise, and says what it skips"
)]

mod place;

use std::io::{self, Read, Write};

use keepwell_store::{Compression, Error, ExportOptions, ImportOptions, ImportSource, Precondition, Session};
use place::{Place, lines, observations, resource_type, session};

fn import(session: &Session, text: &str) {
    session
        .import(ImportSource::reader("text", text.as_bytes()), &ImportOptions::default(), &mut |_| {})
        .unwrap();
}

fn export(session: &Session, options: &ExportOptions) -> Vec<u8> {
    let mut out = Vec::new();
    let told = session.elevate(None).unwrap().export(&mut out, options, &mut |_| {}).unwrap();
    if options.compression == Compression::Plain {
        assert_eq!((told.lines, told.bytes), (lines(&out).count() as u64, out.len() as u64));
    }
    out
}

#[test]
fn export_holds_current_versions_of_the_types_asked_for() {
    let place = Place::new();
    let store = place.create();
    let session = session(&store);
    import(&session, &(observations(20) + "{\"resourceType\":\"Patient\",\"id\":\"p1\"}\n"));
    session.delete(resource_type("Observation"), "o3", Precondition::None).unwrap();
    assert_eq!(lines(&export(&session, &ExportOptions::default())).count(), 20);
    let patients = ExportOptions { types: vec![resource_type("Patient")], ..ExportOptions::default() };
    let out = String::from_utf8(export(&session, &patients)).unwrap();
    assert!(
        out.starts_with(
            "{\"resourceType\":\"Patient\",\"id\":\"p1\",\"meta\":{\"versionId\":\"1\",\"lastUpdated\":\""
        ),
        "{out}"
    );
}

#[test]
fn export_with_history_holds_each_version_before_its_successor() {
    let place = Place::new();
    let store = place.create();
    let session = session(&store);
    for weight in ["1.0", "1.00", "2"] {
        import(
            &session,
            &format!("{{\"resourceType\":\"Basic\",\"id\":\"b\",\"code\":{{\"text\":\"{weight}\"}}}}"),
        );
    }
    let out = export(&session, &ExportOptions { history: true, ..ExportOptions::default() });
    let texts: Vec<_> = lines(&out).map(|line| String::from_utf8(line.to_vec()).unwrap()).collect();
    assert_eq!(texts.len(), 3);
    for (text, weight) in texts.iter().zip(["\"1.0\"", "\"1.00\"", "\"2\""]) {
        assert!(text.contains(weight), "{text}");
    }
}

#[test]
fn compressed_exports_decompress_to_the_plain_one() {
    let place = Place::new();
    let store = place.create();
    let session = session(&store);
    import(&session, &observations(3_000));
    let plain = export(&session, &ExportOptions::default());
    let gzip =
        export(&session, &ExportOptions { compression: Compression::Gzip, ..ExportOptions::default() });
    let zstd =
        export(&session, &ExportOptions { compression: Compression::Zstd, ..ExportOptions::default() });
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(gzip.as_slice()).read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == plain && zstd::decode_all(zstd.as_slice()).unwrap() == plain);
    assert!(gzip.len() < plain.len() / 4 && zstd.len() < plain.len() / 4);
}

#[test]
fn line_breaks_between_tokens_do_not_break_lines() {
    let place = Place::new();
    let store = place.create();
    let session = session(&store);
    let body = b"{\"resourceType\":\"Basic\",\r\n \"id\":\"b\",\n \"code\":{\"text\":\"a\\nb\"}}";
    session.update(resource_type("Basic"), "b", body, Precondition::None).unwrap();
    let out = export(&session, &ExportOptions::default());
    assert_eq!(lines(&out).count(), 1);
    assert!(String::from_utf8(out).unwrap().contains("  \"id\":\"b\""));
}

#[test]
fn export_that_cannot_be_written_is_an_error_and_on_record() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let place = Place::new();
    let store = place.create();
    let session = session(&store);
    import(&session, &observations(10));
    let before = session.stats().unwrap().audit_records;
    let elevated = session.elevate(None).unwrap();
    let error = elevated.export(&mut Full, &ExportOptions::default(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::Io { kind: io::ErrorKind::StorageFull, .. }), "{error}");
    // That it began, and that it failed.
    assert_eq!(session.stats().unwrap().audit_records, before + 2);
}
