#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use keepwell_bindgen::{Error, Language, generate};

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "{reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Error> {
    let [language, library, out] = arguments else {
        return Err(Error::usage());
    };
    generate(language.parse::<Language>()?, Path::new(library), Path::new(out))
}
