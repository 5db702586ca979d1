//! The one change that is made to UniFFI's Swift code: how it reads what the library gives back.
//!
//! UniFFI reads by way of Foundation's `Data`, whose copies cost a microsecond each on Linux: 15 for a record, half a
//! millisecond for a page of a search. The code that is put in its place reads the library's buffer where it is, with the
//! same checks of its end.

use std::fs;
use std::path::Path;

use crate::{Error, failed};

/// What stands in UniFFI 0.32's code, and what takes its place everywhere.
const CHANGES: [(&str, &str); 5] = [
    ("(data: Data, offset: Data.Index)", "(data: UnsafeRawBufferPointer, offset: Int)"),
    ("func createReader(data: Data) ->", "func createReader(data: UnsafeRawBufferPointer) ->"),
    (
        "createReader(data: Data(rustBuffer: buf))",
        "createReader(data: UnsafeRawBufferPointer(start: buf.data, count: Int(buf.len)))",
    ),
    (
        "let _ = withUnsafeMutableBytes(of: &value, { reader.data.copyBytes(to: $0, from: range)})",
        "withUnsafeMutableBytes(of: &value) { $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: reader.data[range])) }",
    ),
    (
        "    var value = [UInt8](repeating: 0, count: count)
    value.withUnsafeMutableBufferPointer({ buffer in
        reader.data.copyBytes(to: buffer, from: range)
    })
",
        "    let value = [UInt8](reader.data[range])
",
    ),
];

/// Makes the change in every Swift file of a folder.
///
/// # Errors
/// [`Error`] when a file cannot be read or written, or is not what this version of UniFFI writes.
pub(crate) fn read_in_place(folder: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == "swift") {
            let code = fs::read_to_string(&path).map_err(failed)?;
            fs::write(&path, changed(code)?).map_err(failed)?;
        }
    }
    Ok(())
}

fn changed(code: String) -> Result<String, Error> {
    CHANGES.into_iter().try_fold(code, |code, (theirs, ours)| {
        if code.contains(theirs) {
            Ok(code.replace(theirs, ours))
        } else {
            Err(Error(format!(
                "UniFFI's Swift code is another than was known: it has no `{}`",
                theirs.trim()
            )))
        }
    })
}
