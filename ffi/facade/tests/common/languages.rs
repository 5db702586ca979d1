//! How programs in Kotlin and Swift are compiled against the library, and run.

#![allow(clippy::unwrap_used, reason = "tests and benches fail by panicking")]
#![allow(clippy::print_stdout, reason = "what is missing is said aloud")]
#![allow(dead_code, unreachable_pub, reason = "each user uses its part")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use keepwell_bindgen::{Language, generate};
use keepwell_tests::succeeds;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

pub fn bindings(language: &str) -> PathBuf {
    root().join("bindings").join(language)
}

/// The folder of a toolchain, if it could be had.
fn toolchain(name: &str) -> Option<PathBuf> {
    let folder = root().join("target/toolchains");
    if folder.join(name).join("ready").exists() {
        return Some(folder.join(name));
    }
    let reason = fs::read_to_string(folder.join(format!("{name}.missing")));
    let reason = reason.unwrap_or_else(|_| ".ci/toolchains was not run".to_owned());
    println!("not run: programs in {name}: {}", reason.trim());
    None
}

/// Every source below a folder, in order.
pub fn sources(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path, ending));
        } else if path.extension().is_some_and(|known| known == ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Runs the script that makes what users of a language install, with the library that these tests are built with.
fn install(language: Language, library: &Path, out: &Path, scratch: &Path) {
    let name = if language == Language::Kotlin { "kotlin" } else { "swift" };
    let built = scratch.join("built");
    generate(language, library, &built.join(name)).unwrap();
    symlink(library, built.join(library.file_name().unwrap())).unwrap();
    succeeds(Command::new(bindings(name).join("install")).arg(out).arg(&built));
}

/// The library as `bindings/kotlin/install` makes it for the JVM, and the tests and the examples, compiled.
pub struct Kotlin {
    class_path: String,
    scratch: tempfile::TempDir,
}

impl Kotlin {
    /// Compiles all of it; none where there is no compiler.
    pub fn of(library: &Path) -> Option<Self> {
        let tools = toolchain("kotlin")?;
        let scratch = tempfile::tempdir().unwrap();
        let [jars, programs] = ["jars", "programs.jar"].map(|name| scratch.path().join(name));
        install(Language::Kotlin, library, &jars, scratch.path());
        let here = bindings("kotlin");
        let jars: Vec<_> = sources(&jars, "jar").iter().map(|jar| jar.display().to_string()).collect();
        let folders = ["tests", "examples", "android/src"].map(|folder| here.join(folder));
        succeeds(
            Command::new("bash")
                .arg(tools.join("bin/kotlinc"))
                .env("JAVA_OPTS", "-Xmx1500m")
                .args(["-nowarn", "-jvm-target", "17", "-cp", &jars.join(":"), "-d"])
                .arg(&programs)
                .args(folders.iter().flat_map(|folder| sources(folder, "kt"))),
        );
        Some(Self { class_path: format!("{}:{}", programs.display(), jars.join(":")), scratch })
    }

    /// A program by its class, with an empty folder as its first argument.
    pub fn program(&self, main: &str) -> Command {
        let folder = self.scratch.path().join(main);
        fs::create_dir(&folder).unwrap();
        let mut java = Command::new("java");
        java.args(["-cp", &self.class_path, main]).arg(folder);
        java
    }
}

/// An app beside the package that `bindings/swift/install` makes, as the README of the bindings says, in the tree of another
/// Debian: in a folder that goes with its user.
pub struct Swift {
    tree: PathBuf,
    scratch: tempfile::TempDir,
    configuration: &'static str,
}

impl Swift {
    /// Installs the package, for a debug or a release build; none where there is no compiler.
    pub fn of(library: &Path, configuration: &'static str) -> Option<Self> {
        let tree = toolchain("swift")?;
        let scratch = tempfile::tempdir_in(tree.join("tmp")).unwrap();
        install(Language::Swift, library, &scratch.path().join("keepwell-swift"), scratch.path());
        Some(Self { tree, scratch, configuration })
    }

    /// A program of bindings/swift by its class, with an empty folder as its first argument.
    pub fn program(&self, source: &str) -> Command {
        let app = self.scratch.path().join("app");
        let name = Path::new(source).file_stem().unwrap().to_str().unwrap();
        let target = app.join("Sources").join(name);
        fs::create_dir_all(&target).unwrap();
        fs::copy(bindings("swift").join(source), target.join(format!("{name}.swift"))).unwrap();
        fs::write(app.join("Package.swift"), manifest(name)).unwrap();
        succeeds(
            self.run("/usr/bin/swift-build")
                .args(["-c", self.configuration, "--package-path"])
                .arg(self.inside(&app)),
        );

        let folder = self.scratch.path().join(format!("{name}-data"));
        fs::create_dir(&folder).unwrap();
        let made = app.join(".build").join(self.configuration).join(name);
        let mut command = self.run(self.inside(&made));
        command.arg(self.inside(&folder));
        command
    }

    /// A command that runs in the tree; what it mounts goes with it.
    fn run(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("unshare");
        // Where the parts of the compiler look for each other.
        let inside = "mount -t proc proc \"$0/proc\" && PATH=/usr/libexec/swift/bin:$PATH HOME=/tmp exec chroot \"$0\" \"$@\"";
        command.args(["--mount", "sh", "-c", inside]).arg(&self.tree).arg(program);
        command
    }

    /// A path as it is in the tree.
    fn inside(&self, path: &Path) -> PathBuf {
        Path::new("/").join(path.strip_prefix(&self.tree).unwrap())
    }
}

/// The manifest of an app that the README shows, for an app of this name.
fn manifest(name: &str) -> String {
    let readme = fs::read_to_string(bindings("swift").join("README.md")).unwrap();
    let shown = readme.split("```swift\n").find(|block| block.starts_with("// swift-tools-version")).unwrap();
    shown.split("```").next().unwrap().replace("QuickStart", name)
}
