//! A word that stands in every field of many resources is found in no file, in no output, and after a lock in no
//! memory of the process.
//!
//! The parent thinks the word up and hands a script of interactions to a child. The child plays it, says every error
//! that it gets in every form, locks the store and waits, while the parent reads its memory: what a core dump would
//! hold. Keys are looked for as well; the parent takes them from the store once the child is gone.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first surprise, and says what it saw"
)]

mod common;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::*;
use keepwell_fhir::patch::PatchFormat;
use keepwell_fhir::{Severity, Walker};
use keepwell_sample::Sample;
use keepwell_store::audit::AuditQuery;
use keepwell_store::{
    Actor, Error, ExportOptions, HistoryQuery, ImportOptions, ImportSource, OnError, Precondition, Session,
    Store, VerifyOptions, WipingAllocator,
};
use keepwell_vault::{Config, Key, Passcode, Vault};
use memchr::memmem;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// Resources of each type into which the word is put.
const PER_TYPE: usize = 2;
/// Longest resource, in bytes: larger ones have nothing but more of the same fields.
const RESOURCE_BYTES_MAX: usize = 24_000;

/// As in the `keepwell` program.
#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

// What is looked for

/// Every way in which bytes could stand in a file or in memory.
fn forms(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![("plain", secret.to_vec()), ("hex", hex::encode(secret).into_bytes())];
    forms.push(("HEX", hex::encode_upper(secret).into_bytes()));
    if secret.is_ascii() {
        forms.push(("UTF-16LE", secret.iter().flat_map(|&byte| [byte, 0]).collect()));
    }
    for (before, name) in ["base64", "base64 + 1", "base64 + 2"].into_iter().enumerate() {
        // The characters that the secret alone decides, wherever it begins among three bytes.
        let encoded = STANDARD.encode([&vec![0; before], secret].concat());
        let (first, bits) = ([0, 2, 3][before], [0, 4, 2][before]);
        forms.push((name, encoded.as_bytes()[first..first + (secret.len() * 8 - bits) / 6].to_vec()));
    }
    forms
}

/// Which forms are in `haystack`, and how often.
fn find(haystack: &[u8], secret: &[u8]) -> Vec<(&'static str, usize)> {
    let counts =
        forms(secret).into_iter().map(|(name, form)| (name, memmem::find_iter(haystack, &form).count()));
    counts.filter(|(_, count)| *count > 0).collect()
}

/// 32 letters and digits: valid as a string, a code, a uri, a markdown text and as base64.
fn word() -> String {
    hex::encode(&Key::generate().expose()[..16])
}

// The script

/// Interactions in the order in which they are played: a count of arguments, then each with its length.
struct Script(Vec<u8>);

impl Script {
    fn add(&mut self, arguments: &[&[u8]]) {
        self.0.push(u8::try_from(arguments.len()).unwrap());
        for argument in arguments {
            self.0.extend(u32::try_from(argument.len()).unwrap().to_le_bytes());
            self.0.extend_from_slice(argument);
        }
    }
}

fn steps(mut script: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    std::iter::from_fn(move || {
        let (&count, mut rest) = script.split_first()?;
        let mut arguments = Vec::new();
        for _ in 0..count {
            let (length, after) = rest.split_first_chunk::<4>().unwrap();
            let (argument, after) = after.split_at(u32::from_le_bytes(*length) as usize);
            arguments.push(argument);
            rest = after;
        }
        script = rest;
        Some(arguments)
    })
}

fn is_valid(walker: &mut Walker, resource: &Value) -> bool {
    let text = resource.to_string();
    let walk = walker.walk(text.as_bytes());
    walk.is_ok_and(|walk| walk.issues.iter().all(|issue| issue.severity > Severity::Error))
}

/// Paths of all strings in a value.
fn strings(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(path.to_owned()),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                strings(item, &format!("{path}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                strings(field, &format!("{path}/{name}"), found);
            }
        }
        _ => {}
    }
}

/// Puts the word into every string that is still valid with it, and says how many those are.
fn infect(walker: &mut Walker, resource: &mut Value, word: &str) -> usize {
    let mut paths = Vec::new();
    strings(resource, "", &mut paths);
    let mut infected = 0;
    for path in paths.iter().filter(|path| !matches!(path.as_str(), "/resourceType" | "/id")) {
        let place = resource.pointer_mut(path).unwrap();
        let before = std::mem::replace(place, Value::String(word.to_owned()));
        if is_valid(walker, resource) {
            infected += 1;
        } else {
            *resource.pointer_mut(path).unwrap() = before;
        }
    }
    infected
}

/// Resources of all types that are at hand, each with the word in every field that takes it.
fn infected_resources(word: &str) -> Vec<Value> {
    let mut lines: Vec<String> = Sample::new(3, (2026, 11, 22)).resources(2).collect();
    for file in shared("data/examples").iter().flat_map(|folder| files(folder)) {
        let mut text = String::new();
        if flate2::read::MultiGzDecoder::new(File::open(file).unwrap()).read_to_string(&mut text).is_ok() {
            let short = text.lines().filter(|line| line.len() < RESOURCE_BYTES_MAX);
            lines.extend(short.take(PER_TYPE).map(str::to_owned));
        }
    }
    let (mut walker, mut taken, mut infected) =
        (Walker::new(), std::collections::BTreeMap::new(), Vec::new());
    let mut fields = 0;
    for line in lines {
        let mut resource: Value = serde_json::from_str(&line).unwrap();
        let of_type: &mut usize =
            taken.entry(resource["resourceType"].as_str().unwrap().to_owned()).or_default();
        if *of_type < PER_TYPE && line.len() < RESOURCE_BYTES_MAX && is_valid(&mut walker, &resource) {
            *of_type += 1;
            fields += infect(&mut walker, &mut resource, word);
            infected.push(resource);
        }
    }
    println!("the word is in {fields} fields of {} resources of {} types", infected.len(), taken.len());
    assert!(fields > 500);
    infected
}

/// All that is done with the word. What must fail begins with `!`.
fn script(word: &str) -> Script {
    let mut script = Script(Vec::new());
    let mut add = |verb: &str, arguments: &[&str]| {
        let all: Vec<&[u8]> =
            std::iter::once(verb).chain(arguments.iter().copied()).map(str::as_bytes).collect();
        script.add(&all);
    };
    let resources = infected_resources(word);
    for resource in &resources {
        add("create", &[&resource.to_string()]);
    }
    add("look", &[]);

    let large = STANDARD.encode(word.repeat(1_000));
    let attachment = json!({
        "resourceType": "DocumentReference", "status": "current", "description": word,
        "content": [{ "attachment": { "contentType": "text/plain", "data": large, "title": word } }],
    });
    add("create", &[&attachment.to_string()]);
    add("binary", &[&word.repeat(2_000)]);
    let patient = |text: &str| {
        json!({ "resourceType": "Patient", "id": "p", "identifier": [{ "system": "urn:x", "value": word }],
                "name": [{ "family": text, "given": [word] }], "active": true })
    };
    add("update", &["Patient", "p", &patient(word).to_string()]);
    add("update", &["Patient", "p", &patient(&format!("{word} again")).to_string()]);
    add("if-none-exist", &["Patient", &patient(word).to_string(), &format!("identifier=urn:x|{word}")]);
    add(
        "patch",
        &["json", "p", &json!([{ "op": "add", "path": "/name/0/text", "value": word }]).to_string()],
    );
    add("patch", &["merge", "p", &json!({ "maritalStatus": { "text": word } }).to_string()]);
    let part = |name: &str, kind: &str, value: &str| json!({ "name": name, kind: value });
    let fhirpath = json!({ "resourceType": "Parameters", "parameter": [{ "name": "operation", "part": [
        part("type", "valueCode", "add"), part("path", "valueString", "Patient.name.first()"),
        part("name", "valueString", "suffix"), part("value", "valueString", word)] }] });
    add("patch", &["fhirpath", "p", &fhirpath.to_string()]);
    let entry = |resource: &Value| {
        let method = json!({ "method": "POST", "url": resource["resourceType"] });
        json!({ "fullUrl": "urn:uuid:9fa1e332-a3eb-52e2-d79a-62042a485967", "resource": resource, "request": method })
    };
    let bundle =
        |kind: &str, entries: Vec<Value>| json!({ "resourceType": "Bundle", "type": kind, "entry": entries });
    add("bundle", &[&bundle("transaction", vec![entry(&patient(word))]).to_string()]);
    let lines: String = resources.iter().take(60).map(|resource| format!("{resource}\n")).collect();
    add(
        "import",
        &["skip", &format!("{lines}{{\"resourceType\":\"Patient\",\"gender\":\"{word}\"}}\n{lines}")],
    );
    add("purge", &["p", &format!("asked for by {word}")]);

    // What fails, in as many ways as there are.
    let invalid = json!({ "resourceType": "Patient", "gender": word, "birthDate": word, "name": word });
    let unknown = json!({ "resourceType": "Patient", word: word, "name": [{ word: 1 }] });
    let bad_reference =
        json!({ "resourceType": "Basic", "code": { "text": word }, "subject": { "reference": word } });
    let dangling = json!({ "resourceType": "Basic", "code": { "text": word },
                           "subject": { "reference": format!("Patient/no-{word}") } });
    add("!create", &[&invalid.to_string()]);
    add("!create", &[&unknown.to_string()]);
    add("create", &[&bad_reference.to_string()]);
    add("!create", &[&json!({ "resourceType": word }).to_string()]);
    add("!create", &[&format!("{{\"resourceType\":\"Patient\",\"name\":[{{\"family\":\"{word}\"")]);
    add("!create", &[&format!("{{\"resourceType\":\"Patient\",\"{word}\":1,\"{word}\":2}}")]);
    add(
        "!create",
        &[&format!("{{\"resourceType\":\"Patient\",\"name\":[{{\"family\":\"{word}\\ud800\"}}]}}")],
    );
    add("!dangling", &[&dangling.to_string()]);
    add("!read", &["Patient", &format!("{word}.{word}.{word}")]);
    add("!read", &["Patient", &format!("no id, but {word}")]);
    add("!update", &["Patient", "other", &patient(word).to_string()]);
    add("!update", &["Patient", &format!("{word}/{word}"), &patient(word).to_string()]);
    add("update", &["Patient", "q", &patient(word).to_string().replace("\"p\"", "\"q\"")]);
    // Errors of a search name its parameters (R4 search.html#errors), never their values.
    add("!if-none-exist", &["Patient", &patient(word).to_string(), &format!("birthdate={word}")]);
    add("!if-none-exist", &["Patient", &patient(word).to_string(), &format!("identifier:of-type={word}")]);
    add("!patch", &["json", "q", &json!([{ "op": "test", "path": "/active", "value": word }]).to_string()]);
    add("!patch", &["json", "q", &json!([{ "op": "remove", "path": format!("/{word}/x") }]).to_string()]);
    add("!patch", &["json", "q", &json!([{ "op": word, "path": "/active" }]).to_string()]);
    add("!patch", &["json", "q", &format!("[{{\"op\":\"add\",\"value\":\"{word}\"")]);
    add("!patch", &["merge", "q", &json!({ "gender": word }).to_string()]);
    add("!patch", &["merge", "q", &format!("{{\"gender\":\"{word}\"")]);
    let wrong_path = fhirpath.to_string().replace("Patient.name.first()", &format!("Patient.where({word})"));
    add("!patch", &["fhirpath", "q", &wrong_path]);
    add("!bundle", &[&bundle("transaction", vec![entry(&patient(word)), entry(&invalid)]).to_string()]);
    let wrong_url = json!({ "resource": patient(word), "request": { "method": "PUT", "url": format!("{word}?{word}={word}") } });
    add("!bundle", &[&bundle("transaction", vec![wrong_url.clone()]).to_string()]);
    add("bundle", &[&bundle("batch", vec![wrong_url, entry(&invalid), entry(&patient(word))]).to_string()]);
    add("!bundle", &[&bundle(word, vec![entry(&invalid)]).to_string()]);
    add("!import", &["stop", &format!("{}\n{invalid}\n", patient(word))]);
    add(
        "!import",
        &["stop", &format!("{{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\":[\"{word}\"]}}")],
    );
    add("!export", &[word]);
    add("archive", &[&format!("the passphrase is {word}")]);
    add("passcode", &[&format!("code {word}")]);
    script
}

// The child

fn format_of(name: &[u8]) -> PatchFormat {
    match name {
        b"json" => PatchFormat::JsonPatch,
        b"merge" => PatchFormat::MergePatch,
        _ => PatchFormat::FhirPath,
    }
}

/// Fails with the word in its error.
struct Broken<'a>(&'a str);

impl Write for Broken<'_> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other(self.0))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Plays one step. What it gets it drops at once: what is left of it in memory is what the store left.
fn step(session: &mut Session, home: &Path, verb: &str, arguments: &[&[u8]]) -> Result<(), Error> {
    let type_of = |body: &[u8]| {
        Walker::new().walk(body).map_or_else(|_| resource_type("Patient"), |walk| walk.resource_type)
    };
    match (verb, arguments) {
        ("create", [body]) => drop(session.create(type_of(body), body)?),
        ("dangling", [body]) => {
            session.set_check_references(true);
            let done = session.create(type_of(body), body);
            session.set_check_references(false);
            done?;
        }
        ("read", [kind, id]) => drop(session.read(resource_type(text(kind)), text(id))?),
        ("update", [kind, id, body]) => {
            session.update(resource_type(text(kind)), text(id), body, Precondition::None)?;
        }
        ("if-none-exist", [kind, body, condition]) => {
            session.create_if_none_exist(resource_type(text(kind)), body, text(condition))?;
        }
        ("patch", [format, id, patch]) => {
            session.patch(
                resource_type("Patient"),
                text(id),
                format_of(format),
                patch,
                Precondition::None,
            )?;
        }
        ("bundle", [body]) => {
            let response = session.bundle(body)?;
            say(&format!("response {}", String::from_utf8_lossy(&response).replace('\n', " ")));
        }
        ("binary", [content]) => drop(session.create_binary("text/plain", &mut &content[..])?),
        ("import", [on_error, text]) => {
            let on_error = if *on_error == b"skip" { OnError::Skip } else { OnError::Stop };
            let options = ImportOptions { on_error, batch: 40, ..ImportOptions::default() };
            let report = session.import(ImportSource::reader("lines", *text), &options, &mut |_| {})?;
            say(&format!("report {report:?}"));
        }
        ("purge", [id, reason]) => {
            session.elevate(None)?.purge(resource_type("Patient"), text(id), text(reason))?;
        }
        ("export", [word]) => {
            let options = ExportOptions::default();
            session.elevate(None)?.export(&mut Broken(text(word)), &options, &mut |_| {})?;
        }
        ("archive", [passphrase]) => {
            let passphrase = Passcode::new(text(passphrase).to_owned()).unwrap();
            let mut out = File::create(home.join("archive")).unwrap();
            session.elevate(None)?.archive(&passphrase, &mut out)?;
        }
        ("passcode", [code]) => {
            session.elevate(None)?.set_passcode(&Passcode::new(text(code).to_owned()).unwrap())?;
        }
        ("look", []) => look(session)?,
        (other, _) => panic!("no step is called {other}"),
    }
    Ok(())
}

/// Reads everything in every way.
fn look(session: &Session) -> Result<(), Error> {
    let mut query = HistoryQuery::default();
    loop {
        let page = session.history_system(&query)?;
        for entry in &page.entries {
            session.read(entry.resource_type, &entry.id)?;
            session.vread(entry.resource_type, &entry.id, entry.version)?;
            session.history(entry.resource_type, &entry.id, &HistoryQuery::default())?;
        }
        drop(page.to_bundle());
        query.before = page.next;
        if query.before.is_none() {
            break;
        }
    }
    let privileged = session.elevate(None)?;
    privileged.export(&mut io::sink(), &ExportOptions::default(), &mut |_| {})?;
    privileged.audit_export(&AuditQuery::default(), &mut io::sink())?;
    session
        .audit_page(&AuditQuery { user: Some(session.actor().user().to_owned()), ..AuditQuery::default() })?;
    assert!(session.verify(VerifyOptions::default(), &mut |_| {})?.is_sound());
    Ok(())
}

/// Plays the script that comes in, says every error in every form, locks, and waits to be looked at.
fn play(home: &Path) {
    // Not `io::stdin`, whose buffer nobody wipes.
    let mut input = File::open("/dev/stdin").unwrap();
    let mut length = [0; 8];
    input.read_exact(&mut length).unwrap();
    let mut script = Zeroizing::new(vec![0; usize::try_from(u64::from_le_bytes(length)).unwrap()]);
    input.read_exact(&mut script).unwrap();
    let mut options = options(home);
    options.memory_security = true;
    let store = Store::create(&store_of(home), options, None).unwrap();
    let mut session = store.session(Actor::new("dr.who", "tests", "bench").unwrap()).unwrap();
    for arguments in steps(&script) {
        let verb = text(arguments[0]);
        let (verb, must_fail) = verb.strip_prefix('!').map_or((verb, false), |verb| (verb, true));
        let done = step(&mut session, home, verb, &arguments[1..]);
        assert_eq!(done.is_err(), must_fail, "{verb}: {:?}", done.err().map(|error| error.code()));
        if let Err(error) = done {
            say(&format!("{verb} failed: {error} {error:?} {}", error.operation_outcome()));
        }
    }
    drop(session);
    store.lock().unwrap();
    drop(script);
    say("locked");
    // Until the parent has seen enough.
    let _ = input.read(&mut [0]);
}

// The parent

/// Reads what the child says until it is locked.
fn hear(out: &mut impl Read, errors: &Path) -> Vec<u8> {
    let (mut heard, mut piece) = (Vec::new(), [0; 4096]);
    while !heard.ends_with(b"locked\n") {
        let length = out.read(&mut piece).unwrap();
        assert!(length > 0, "the child ended early: {}", fs::read_to_string(errors).unwrap());
        heard.extend_from_slice(&piece[..length]);
    }
    heard
}

/// All writable memory of a process by the name of its mapping, as a core dump would hold it.
fn memory_of(child: &Child) -> Vec<(String, Vec<u8>)> {
    let process = Path::new("/proc").join(child.id().to_string());
    let memory = File::open(process.join("mem")).unwrap();
    let mut content = Vec::new();
    for line in fs::read_to_string(process.join("maps")).unwrap().lines() {
        let (range, rights) = line.split_once(' ').unwrap();
        if !rights.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        let mut piece = vec![0; usize::try_from(to - from).unwrap()];
        // What cannot be read is not in a core dump either.
        if memory.read_exact_at(&mut piece, from).is_ok() {
            let name = line.split_whitespace().nth(5).unwrap_or("anonymous");
            content.push((name.to_owned(), piece));
        }
    }
    content
}

#[test]
fn word_in_every_field_is_found_nowhere() {
    if let Some(home) = home_of_child() {
        return play(&home);
    }
    let word = word();
    let script = script(&word).0;
    let home = tempfile::tempdir().unwrap();
    let temporary = home.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let errors = home.path().join("stderr");
    let mut child = child("word_in_every_field_is_found_nowhere", home.path())
        .env("TMPDIR", &temporary)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::piped())
        .stderr(File::create(&errors).unwrap())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&(script.len() as u64).to_le_bytes()).unwrap();
    input.write_all(&script).unwrap();
    let mut out = child.stdout.take().unwrap();
    let heard = hear(&mut out, &errors);
    let memory = memory_of(&child);
    drop(input);
    assert!(child.wait().unwrap().success());

    let said = String::from_utf8_lossy(&heard);
    let leaks: Vec<_> =
        said.lines().filter(|line| !find(line.as_bytes(), word.as_bytes()).is_empty()).collect();
    assert!(leaks.is_empty(), "the word is in what was said: {leaks:#?}");
    assert!(said.lines().filter(|line| line.contains(" failed: ")).count() > 20);
    for path in files(home.path()) {
        let found = find(&fs::read(&path).unwrap(), word.as_bytes());
        assert!(found.is_empty(), "{}: {found:?}", path.display());
    }
    assert!(files(&temporary).is_empty(), "nothing is left among temporary files");

    let mut config = Config::new(options(home.path()).keychain.unwrap());
    config.policy = options(home.path()).policy;
    let code = Passcode::new(format!("code {word}")).unwrap();
    let keys = Vault::open(store_of(home.path()), config).unwrap().unlock(Some(&code)).unwrap();
    let keys = [&keys.database, &keys.blob, &keys.audit, &keys.anchor, &keys.sync]
        .map(|key| key.expose().as_slice());
    let mut leaks = Vec::new();
    for (name, content) in &memory {
        for (what, secret) in keys.iter().map(|key| ("a key", *key)).chain([("the word", word.as_bytes())]) {
            leaks.extend(find(content, secret).into_iter().map(|found| (name, what, found)));
        }
    }
    println!(
        "{} bytes of memory were searched",
        memory.iter().map(|(_, content)| content.len()).sum::<usize>()
    );
    assert!(leaks.is_empty(), "in memory after the lock: {leaks:#?}");
}

/// The search finds what is there, in each form.
#[test]
fn word_is_found_where_it_is() {
    let word = word();
    let texts = [
        format!("a{word}b").into_bytes(),
        hex::encode(&word).into_bytes(),
        hex::encode_upper(&word).into_bytes(),
        word.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        STANDARD.encode(&word).into_bytes(),
        STANDARD.encode(format!("x{word}y")).into_bytes(),
        STANDARD.encode(format!("xy{word}z")).into_bytes(),
        STANDARD.encode(format!("xyz{word}")).into_bytes(),
    ];
    for (number, text) in texts.iter().enumerate() {
        assert!(!find(text, word.as_bytes()).is_empty(), "{number}");
    }
    assert!(find(b"nothing", word.as_bytes()).is_empty());
}
