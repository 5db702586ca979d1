//! How programs in Kotlin and Swift are compiled against the library, and run.

#![allow(clippy::unwrap_used, reason = "tests and benches fail by panicking")]
#![allow(clippy::print_stdout, reason = "what is missing is said aloud")]
#![allow(dead_code, unreachable_pub, reason = "each user uses its part")]

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
        let [built, jars, programs] = ["built", "jars", "programs.jar"].map(|name| scratch.path().join(name));
        generate(Language::Kotlin, library, &built.join("kotlin")).unwrap();
        symlink(library, built.join(library.file_name().unwrap())).unwrap();
        let here = bindings("kotlin");
        succeeds(Command::new(here.join("install")).arg(&jars).arg(&built));
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

/// The library with its Swift code, compiled in the tree of another Debian: in a folder that goes with its user.
pub struct Swift {
    tree: PathBuf,
    scratch: tempfile::TempDir,
    options: &'static [&'static str],
}

impl Swift {
    /// Compiles the modules with options of the compiler; none where there is no compiler.
    pub fn of(library: &Path, options: &'static [&'static str]) -> Option<Self> {
        let tree = toolchain("swift")?;
        let scratch = tempfile::tempdir_in(tree.join("tmp")).unwrap();
        let swift = Self { tree, scratch, options };
        for library in [library, Path::new("/usr/lib/x86_64-linux-gnu/libcrypto.so.3")] {
            fs::copy(library, swift.path(library.file_name().unwrap().to_str().unwrap())).unwrap();
        }
        generate(Language::Swift, library, swift.scratch.path()).unwrap();
        let module = ["-emit-module", "-emit-library", "-lkeepwell_facade", "-module-name"];
        let core = swift.place("libKeepwellCore.so");
        let own = swift.place("libKeepwell.so");
        swift.compile(
            &sources(swift.scratch.path(), "swift"),
            &[&module[..], &["KeepwellCore", "-o", &core]].concat(),
        );
        let of_core = ["Keepwell", "-lKeepwellCore", "-o", &own];
        swift.compile(
            &sources(&bindings("swift").join("Sources/Keepwell"), "swift"),
            &[&module[..], &of_core].concat(),
        );
        Some(swift)
    }

    /// A program of bindings/swift, with an empty folder as its first argument.
    pub fn program(&self, source: &str, name: &str) -> Command {
        let (made, folder) = (self.place(name), self.path(&format!("{name}-data")));
        let libraries = ["-lKeepwell", "-lKeepwellCore", "-lkeepwell_facade", "-o", &made];
        self.compile(&[bindings("swift").join(source)], &libraries);
        fs::create_dir(&folder).unwrap();
        let mut command = self.run(Path::new(&made));
        command.arg(self.inside(&folder));
        command
    }

    /// Where something of this name is in the tree.
    fn place(&self, name: &str) -> String {
        self.inside(&self.path(name)).to_str().unwrap().to_owned()
    }

    /// A command that runs in the tree; what it mounts goes with it.
    fn run(&self, program: &Path) -> Command {
        let mut command = Command::new("unshare");
        let inside = "mount -t proc proc \"$0/proc\" && exec chroot \"$0\" \"$@\"";
        command.args(["--mount", "sh", "-c", inside]).arg(&self.tree).arg(program);
        command
    }

    /// A path as it is in the tree.
    fn inside(&self, path: &Path) -> PathBuf {
        Path::new("/").join(path.strip_prefix(&self.tree).unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Compiles sources against the modules and libraries that are there already.
    fn compile(&self, sources: &[PathBuf], options: &[&str]) {
        let here = self.inside(self.scratch.path());
        let here = here.to_str().unwrap();
        let copies: Vec<PathBuf> = sources
            .iter()
            .map(|source| {
                let copy = self.path(source.file_name().unwrap().to_str().unwrap());
                if copy != *source {
                    fs::copy(source, &copy).unwrap();
                }
                self.inside(&copy)
            })
            .collect();
        let map = format!("-fmodule-map-file={here}/KeepwellFFI.modulemap");
        succeeds(
            self.run(Path::new("/usr/bin/swiftc"))
                .args([
                    "-swift-version",
                    "5",
                    "-parse-as-library",
                    "-suppress-warnings",
                    "-module-cache-path",
                ])
                .arg(format!("{here}/cache"))
                .args(["-Xcc", &map, "-I", here, "-L", here, "-Xlinker", "-rpath", "-Xlinker", "$ORIGIN"])
                .args(self.options)
                .args(options)
                .args(copies),
        );
    }
}
