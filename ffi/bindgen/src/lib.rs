#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod changes;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use uniffi_bindgen::bindings::{GenerateOptions, TargetLanguage, generate_with_bindgen_paths};
use uniffi_bindgen::{BindgenLoader, BindgenPaths, GlobalConfig};

/// A language that the library speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// For Android and the JVM.
    Kotlin,
    /// For Apple's platforms and Linux.
    Swift,
}

/// Why nothing was written.
#[derive(Debug)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl Error {
    /// Says how the program is called.
    #[must_use]
    pub fn usage() -> Self {
        Self("keepwell-bindgen kotlin|swift LIBRARY DIRECTORY".to_owned())
    }
}

impl FromStr for Language {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "kotlin" => Ok(Self::Kotlin),
            "swift" => Ok(Self::Swift),
            _ => Err(Error("a language is kotlin or swift".to_owned())),
        }
    }
}

/// Something that an app calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callable {
    /// The object that has it, or the trait that an app implements; none for a function.
    pub owner: Option<String>,
    /// Its name in Rust.
    pub name: String,
}

/// Writes the code of a language into a directory, from a library that is not stripped.
///
/// # Errors
/// [`Error`] when the library is none, has no metadata, or the directory cannot be written.
pub fn generate(language: Language, library: &Path, out: &Path) -> Result<(), Error> {
    let options = GenerateOptions {
        languages: vec![match language {
            Language::Kotlin => TargetLanguage::Kotlin,
            Language::Swift => TargetLanguage::Swift,
        }],
        source: text(library)?.into(),
        out_dir: text(out)?.into(),
        config_override: None,
        format: false,
        ..GenerateOptions::default()
    };
    generate_with_bindgen_paths(options, BindgenPaths::default()).map_err(failed)?;
    changes::make(language, out)
}

/// Everything that an app can call in a library, or is called at.
///
/// # Errors
/// As [`generate`].
pub fn callables(library: &Path) -> Result<Vec<Callable>, Error> {
    let loader = BindgenLoader::new(BindgenPaths::default(), GlobalConfig::default());
    let metadata = loader.load_metadata(text(library)?.as_ref()).map_err(failed)?;
    let mut found = Vec::new();
    for interface in loader.load_cis(metadata).map_err(failed)? {
        for function in interface.function_definitions() {
            found.push(Callable { owner: None, name: function.name().to_owned() });
        }
        for object in interface.object_definitions() {
            let constructors = object.constructors().into_iter().map(|made| made.name().to_owned());
            let methods = object.methods().into_iter().map(|method| method.name().to_owned());
            for name in constructors.chain(methods) {
                found.push(Callable { owner: Some(object.name().to_owned()), name });
            }
        }
    }
    Ok(found)
}

fn text(path: &Path) -> Result<&str, Error> {
    path.to_str().ok_or_else(|| Error("a path is not UTF-8".to_owned()))
}

fn failed(error: impl fmt::Display) -> Error {
    Error(format!("{error:#}"))
}
