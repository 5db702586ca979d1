//! What is changed in UniFFI's code: how it reads what the library gives back.
//!
//! In Swift it reads by way of Foundation's `Data`, whose copies cost a microsecond each on Linux: 15 for a record, half a
//! millisecond for a page of a search. The code that is put in its place reads the library's buffer where it is, with the
//! same checks of its end. In Kotlin a text goes through an array of its own, and fresh memory is what a long text costs there:
//! it goes through one that its thread keeps.

use std::fs;
use std::path::Path;

use crate::{Error, Language, failed};

/// What stands in UniFFI 0.32's code, and what takes its place everywhere.
type Changes = &'static [(&'static str, &'static str)];

const KOTLIN: Changes = &[
    (
        "            val byteArr = ByteArray(value.len.toInt())
            value.asByteBuffer()!!.get(byteArr)
            return byteArr.toString(Charsets.UTF_8)
",
        "            val length = value.len.toInt()
            return Scratch.text(length) { value.data!!.read(0, it, 0, length) }
",
    ),
    (
        "        val len = buf.getInt()
        val byteArr = ByteArray(len)
        buf.get(byteArr)
        return byteArr.toString(Charsets.UTF_8)
",
        "        val length = buf.getInt()
        return Scratch.text(length) { buf.get(it, 0, length) }
",
    ),
];

const SWIFT: Changes = &[
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

/// Makes the changes in every file of a language below a folder.
///
/// # Errors
/// [`Error`] when a file cannot be read or written, or is not what this version of UniFFI writes.
pub(crate) fn make(language: Language, folder: &Path) -> Result<(), Error> {
    let (ending, changes) = match language {
        Language::Kotlin => ("kt", KOTLIN),
        Language::Swift => ("swift", SWIFT),
    };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            make(language, &path)?;
        } else if path.extension().is_some_and(|known| known == ending) {
            let code = fs::read_to_string(&path).map_err(failed)?;
            fs::write(&path, changed(code, changes)?).map_err(failed)?;
        }
    }
    Ok(())
}

fn changed(code: String, changes: Changes) -> Result<String, Error> {
    changes.iter().try_fold(code, |code, (theirs, ours)| {
        if code.contains(theirs) {
            Ok(code.replace(theirs, ours))
        } else {
            Err(Error(format!("UniFFI's code is another than was known: it has no `{}`", theirs.trim())))
        }
    })
}
