//! A FHIR server that does what real ones do.

use std::collections::{BTreeMap, BTreeSet};

use keepwell_fhir::Instant;
use keepwell_plain::{Method, Reply, Request};
use serde_json::{Value, json};

use crate::content::{Content, KINDS};
use crate::random::Random;

pub(crate) const ADDRESS: &str = "https://host/fhir";

/// What commits late commits so late at most: within the overlap.
const LATE_MS: usize = 9 * 60 * 1_000;

/// Lists are so old at most (HAPI's are cached for 60 seconds).
const STALE_MS: usize = 60_000;

/// How this server is.
#[derive(Clone, Debug)]
pub(crate) struct Quirks {
    pub(crate) guards_updates: bool,
    pub(crate) guards_creates: bool,
    pub(crate) takes_ids: bool,
    pub(crate) takes_conditions: bool,
    /// Versions are no numbers.
    is_opaque: bool,
    /// A write is answered without the resource.
    is_minimal: bool,
    /// Resources come back spelled otherwise, and with more in `meta`.
    respells: bool,
    says_total: bool,
    /// What was deleted is not told apart from what never was.
    forgets_deleted: bool,
    /// Times are whole seconds.
    is_coarse: bool,
    /// Pages are cut anew from what is there.
    cuts_anew: bool,
    /// `_elements` is not known.
    ignores_elements: bool,
}

impl Quirks {
    pub(crate) fn new(random: &mut Random) -> Self {
        Self {
            guards_updates: random.percent(80),
            guards_creates: random.percent(60),
            takes_ids: random.percent(60),
            takes_conditions: random.percent(60),
            is_opaque: random.percent(25),
            is_minimal: random.percent(25),
            respells: random.percent(40),
            says_total: random.percent(50),
            forgets_deleted: random.percent(30),
            is_coarse: random.percent(40),
            cuts_anew: random.percent(50),
            ignores_elements: random.percent(30),
        }
    }
}

#[derive(Clone, Debug)]
struct Version {
    number: u64,
    /// None if it was deleted.
    body: Option<Value>,
    at_ms: i64,
    /// When it is committed.
    seen_ms: i64,
}

type Key = (String, String);

#[derive(Clone, Debug)]
struct Walk {
    kind: String,
    ids_only: bool,
    from_ms: Option<(bool, i64)>,
    now_ms: i64,
    snapshot: Vec<(Key, u64)>,
    page: usize,
    given: BTreeSet<Key>,
    last: Option<(Key, u64)>,
}

pub(crate) struct Server {
    pub(crate) quirks: Quirks,
    pub(crate) random: Random,
    pub(crate) now_ms: i64,
    pub(crate) is_nasty: bool,
    pub(crate) restricted: BTreeSet<Key>,
    /// Those that ever were.
    pub(crate) once_restricted: BTreeSet<Key>,
    resources: BTreeMap<Key, Vec<Version>>,
    walks: BTreeMap<u64, Walk>,
    made: u64,
    /// Every value that any version ever had.
    pub(crate) values: BTreeSet<String>,
    /// Versions that a device was shown.
    shown: BTreeSet<(usize, Key, u64)>,
    /// How often a device was told that something is not there, or got a whole list without it.
    pub(crate) withheld: BTreeMap<(usize, Key), u32>,
    /// What the last page held.
    last_page: Vec<Key>,
    /// Rules that a device broke.
    pub(crate) broken: Option<String>,
    /// How often what went wrong.
    pub(crate) faults: BTreeMap<&'static str, u64>,
}

impl Server {
    pub(crate) fn new(quirks: Quirks, random: Random, now_ms: i64) -> Self {
        Self {
            quirks,
            random,
            now_ms,
            is_nasty: true,
            restricted: BTreeSet::new(),
            once_restricted: BTreeSet::new(),
            resources: BTreeMap::new(),
            walks: BTreeMap::new(),
            made: 0,
            values: BTreeSet::new(),
            shown: BTreeSet::new(),
            withheld: BTreeMap::new(),
            last_page: Vec::new(),
            broken: None,
            faults: BTreeMap::new(),
        }
    }

    /// What everybody may see now.
    pub(crate) fn visible(&self) -> BTreeMap<Key, Content> {
        let keys = self.resources.keys().filter(|key| !self.restricted.contains(*key));
        keys.filter_map(|key| {
            Some((key.clone(), Content::of(self.current(key, self.now_ms)?.body.as_ref()?)))
        })
        .filter(|((kind, _), _)| KINDS.contains(&kind.as_str()))
        .collect()
    }

    fn current(&self, key: &Key, now_ms: i64) -> Option<&Version> {
        self.resources.get(key)?.iter().rfind(|version| version.seen_ms <= now_ms)
    }

    fn fault(&mut self, name: &'static str, percent: usize) -> bool {
        let happens = self.is_nasty && self.random.percent(percent);
        if happens {
            *self.faults.entry(name).or_default() += 1;
        }
        happens
    }

    /// A version of a resource. What was not committed is now: rows are locked.
    fn store(&mut self, key: &Key, body: Option<Value>, is_late: bool) -> u64 {
        if let Some(body) = &body {
            let content = Content::of(body);
            self.values.extend(content.fields.values().cloned());
        }
        let mut at_ms = self.now_ms;
        if self.quirks.is_coarse {
            at_ms -= at_ms.rem_euclid(1_000);
        }
        let late_ms = if is_late { self.random.below(LATE_MS) } else { 0 };
        let now_ms = self.now_ms;
        let versions = self.resources.entry(key.clone()).or_default();
        for version in versions.iter_mut() {
            version.seen_ms = version.seen_ms.min(now_ms);
        }
        let number = versions.last().map_or(1, |version| version.number + 1);
        let seen_ms = now_ms + i64::try_from(late_ms).unwrap();
        versions.push(Version { number, body, at_ms, seen_ms });
        number
    }

    /// Another client writes; what it writes may be committed late, with an old time.
    pub(crate) fn write_of_another(&mut self, key: &Key, content: Option<&Content>) {
        let is_late = self.fault("late commit", 30);
        let body = content.map(|content| content.to_json(&key.1));
        self.store(key, body, is_late);
    }

    /// The answer did not come: if it was a page, the next try may cut it elsewhere.
    pub(crate) fn lost(&mut self, device: usize) {
        for key in std::mem::take(&mut self.last_page) {
            *self.withheld.entry((device, key)).or_default() += 1;
        }
    }

    pub(crate) fn quirks_are_opaque(&self) -> bool {
        self.quirks.is_opaque
    }

    pub(crate) fn make_id(&mut self) -> String {
        self.made += 1;
        format!("s{}", self.made)
    }

    fn version_text(&self, number: u64) -> String {
        if self.quirks.is_opaque {
            format!("v{:x}", number.wrapping_mul(0x9e37_79b9) & 0xffff_ffff)
        } else {
            number.to_string()
        }
    }

    fn dressed(&mut self, device: usize, key: &Key, version: &Version, ids_only: bool) -> Value {
        let meta = json!({
            "versionId": self.version_text(version.number),
            "lastUpdated": Instant::from_ms(version.at_ms).to_string(),
        });
        if ids_only && !self.quirks.ignores_elements {
            let mut value = json!({ "resourceType": key.0, "id": key.1, "meta": meta });
            value["meta"]["tag"] = json!([{ "code": "SUBSETTED" }]);
            return value;
        }
        self.shown.insert((device, key.clone(), version.number));
        let mut value = version.body.clone().unwrap_or_default();
        if self.quirks.respells {
            let object = value.as_object_mut().unwrap();
            let extension = object.remove("extension");
            object.extend(extension.map(|extension| ("extension".to_owned(), extension)));
        }
        let tags = value["meta"]["tag"].clone();
        value["meta"] = meta;
        if tags.is_array() {
            value["meta"]["tag"] = tags;
        }
        if self.quirks.respells {
            value["meta"]["source"] = "#nasty".into();
        }
        value["id"] = key.1.clone().into();
        value
    }

    pub(crate) fn answer(&mut self, device: usize, request: &Request) -> Reply {
        let path: Vec<&str> = request.target.split(['/', '?']).collect();
        match (request.method, &path[..]) {
            (Method::Get, ["metadata"]) => self.statement(),
            (Method::Get, ["", query]) => self.page(device, query),
            (Method::Get, [kind, query]) if request.target.contains('?') => self.search(device, kind, query),
            (Method::Get, [kind, id]) => self.read(device, &((*kind).to_owned(), (*id).to_owned())),
            (Method::Post, [kind]) => self.post(device, kind, request),
            (Method::Put, [kind, id]) => self.put(device, &((*kind).to_owned(), (*id).to_owned()), request),
            (Method::Delete, [kind, id]) => {
                self.delete(device, &((*kind).to_owned(), (*id).to_owned()), request)
            }
            _ => outcome(400),
        }
    }

    fn statement(&self) -> Reply {
        let resource = |kind: &str| {
            json!({
                "type": kind, "versioning": "versioned-update", "updateCreate": self.quirks.takes_ids,
                "conditionalCreate": self.quirks.takes_conditions,
                "interaction": [{ "code": "create" }, { "code": "update" }, { "code": "delete" }],
            })
        };
        let resources = ["Basic", "Patient", "Flag"].map(resource);
        let statement = json!({
            "resourceType": "CapabilityStatement", "fhirVersion": "4.0.1",
            "rest": [{ "mode": "server", "resource": resources }],
        });
        reply(200, &statement)
    }

    fn read(&mut self, device: usize, key: &Key) -> Reply {
        let found = self.current(key, self.now_ms).cloned().filter(|_| !self.restricted.contains(key));
        match found {
            Some(version) if version.body.is_some() => {
                let value = self.dressed(device, key, &version, false);
                Reply { version: Some(self.version_text(version.number)), ..reply(200, &value) }
            }
            Some(version) => {
                self.shown.insert((device, key.clone(), version.number));
                *self.withheld.entry((device, key.clone())).or_default() += 2;
                outcome(if self.quirks.forgets_deleted { 404 } else { 410 })
            }
            None => {
                *self.withheld.entry((device, key.clone())).or_default() += 2;
                outcome(404)
            }
        }
    }

    fn search(&mut self, device: usize, kind: &str, query: &str) -> Reply {
        let mut walk = Walk {
            kind: kind.to_owned(),
            ids_only: false,
            from_ms: None,
            now_ms: self.now_ms,
            snapshot: Vec::new(),
            page: 200,
            given: BTreeSet::new(),
            last: None,
        };
        for pair in query.split('&') {
            match pair.split_once('=').unwrap() {
                ("_count", count) => walk.page = count.parse().unwrap(),
                ("_sort", sort) => assert_eq!(sort, "_lastUpdated"),
                ("_elements", elements) => walk.ids_only = elements == "id,meta",
                ("_lastUpdated", value) => {
                    let is_later = value.starts_with("gt");
                    walk.from_ms = Some((is_later, Instant::parse(&value[2..]).unwrap().ms()));
                }
                ("identifier", mark) => return self.found(device, kind, mark.split_once("%7C").unwrap().1),
                other => panic!("{other:?}"),
            }
        }
        if self.fault("stale list", 10) {
            walk.now_ms -= i64::try_from(self.random.below(STALE_MS)).unwrap();
        }
        walk.snapshot = self.rows(&walk);
        let token = self.random.next();
        self.walks.insert(token, walk);
        self.page(device, &format!("_getpages={token}&_offset=0"))
    }

    fn found(&mut self, device: usize, kind: &str, mark: &str) -> Reply {
        let is_of_kind = |key: &&Key| key.0 == kind && !self.restricted.contains(*key);
        let keys: Vec<Key> = self.resources.keys().filter(is_of_kind).cloned().collect();
        let mut entries = Vec::new();
        for key in &keys {
            let Some(version) = self.current(key, self.now_ms).cloned() else { continue };
            if version.body.as_ref().is_some_and(|body| body["identifier"].to_string().contains(mark)) {
                let resource = self.dressed(device, key, &version, false);
                entries.push(json!({ "resource": resource, "search": { "mode": "match" } }));
            }
        }
        reply(200, &json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries }))
    }

    /// What a list holds, in order of time, and of nothing among equals.
    fn rows(&self, walk: &Walk) -> Vec<(Key, u64)> {
        let mut rows: Vec<(i64, Key, u64)> = self
            .resources
            .keys()
            .filter(|key| key.0 == walk.kind && !self.restricted.contains(*key))
            .filter_map(|key| {
                let version = self.current(key, walk.now_ms)?;
                let is_in = walk.from_ms.is_none_or(|(is_later, from_ms)| {
                    if is_later { version.at_ms > from_ms } else { version.at_ms >= from_ms }
                });
                (is_in && version.body.is_some()).then(|| (version.at_ms, key.clone(), version.number))
            })
            .collect();
        rows.sort_by_key(|(at_ms, key, _)| (*at_ms, std::cmp::Reverse(key.1.len()), key.clone()));
        rows.into_iter().map(|(_, key, number)| (key, number)).collect()
    }

    fn page(&mut self, device: usize, query: &str) -> Reply {
        let (token, offset) = query.split_once("&_offset=").unwrap();
        let token: u64 = token.strip_prefix("_getpages=").unwrap().parse().unwrap();
        let offset: usize = offset.parse().unwrap();
        if offset > 0 && self.fault("expired link", 3) {
            self.walks.remove(&token);
        }
        let Some(mut walk) = self.walks.remove(&token) else { return outcome(410) };
        let rows = if self.quirks.cuts_anew {
            walk.now_ms = walk.now_ms.max(self.now_ms - i64::try_from(STALE_MS).unwrap());
            self.rows(&walk)
        } else {
            walk.snapshot.clone()
        };
        let mut page: Vec<(Key, u64)> = rows.iter().skip(offset).take(walk.page).cloned().collect();
        if page.len() > 1 && self.fault("skipped row", 4) {
            page.remove(self.random.below(page.len()));
        }
        if let Some(last) = walk.last.clone()
            && self.fault("repeated row", 10)
        {
            page.insert(0, last);
        }
        walk.last = page.last().cloned();
        self.last_page = page.iter().map(|(key, _)| key.clone()).collect();
        let mut entries = Vec::new();
        for (key, number) in page {
            let version = self.resources[&key].iter().find(|version| version.number == number).cloned();
            let Some(version) = version.filter(|_| !self.restricted.contains(&key)) else { continue };
            walk.given.insert(key.clone());
            let resource = self.dressed(device, &key, &version, walk.ids_only);
            entries.push(json!({ "resource": resource, "search": { "mode": "match" } }));
        }
        let mut bundle =
            json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries, "link": [] });
        if self.quirks.says_total {
            bundle["total"] = rows.len().into();
        }
        let end = offset + walk.page;
        if end < rows.len() {
            let url = format!("{ADDRESS}?_getpages={token}&_offset={end}");
            bundle["link"] = json!([{ "relation": "next", "url": url }]);
        } else if walk.ids_only {
            for (key, _) in self.visible() {
                if key.0 == walk.kind && !walk.given.contains(&key) {
                    *self.withheld.entry((device, key)).or_default() += 1;
                }
            }
            let hidden: Vec<Key> = self.restricted.iter().cloned().collect();
            for key in hidden {
                *self.withheld.entry((device, key)).or_default() += 1;
            }
        }
        // A client whose answer was lost asks for the same page again.
        self.walks.insert(token, walk);
        reply(200, &bundle)
    }

    fn post(&mut self, device: usize, kind: &str, request: &Request) -> Reply {
        let mut body: Value = serde_json::from_slice(request.body.as_ref().unwrap()).unwrap();
        if let Some(condition) = request.if_none_exist.as_ref().filter(|_| self.quirks.takes_conditions) {
            let mark = condition.split_once('|').unwrap().1;
            let keys: Vec<Key> = self.resources.keys().filter(|key| key.0 == kind).cloned().collect();
            for key in keys {
                let current = self.current(&key, self.now_ms).and_then(|version| version.body.as_ref());
                if current.is_some_and(|body| body["identifier"].to_string().contains(mark)) {
                    return self.written(device, &key, 200);
                }
            }
        }
        let key = (kind.to_owned(), self.make_id());
        body["id"] = key.1.clone().into();
        self.store(&key, Some(body), false);
        self.written(device, &key, 201)
    }

    fn put(&mut self, device: usize, key: &Key, request: &Request) -> Reply {
        let body: Value = serde_json::from_slice(request.body.as_ref().unwrap()).unwrap();
        if self.restricted.contains(key) {
            return outcome(404);
        }
        let current = self.current(key, self.now_ms).cloned();
        let live = current.as_ref().filter(|version| version.body.is_some());
        if let Some(version) = request.if_match.as_ref().filter(|_| self.quirks.guards_updates)
            && live.map(|live| self.version_text(live.number)).as_ref() != Some(version)
        {
            return outcome(if self.random.percent(50) { 409 } else { 412 });
        }
        if request.if_none_match && self.quirks.guards_creates && live.is_some() {
            return outcome(412);
        }
        if live.is_none() && !self.quirks.takes_ids && current.is_none() {
            return outcome(405);
        }
        if let Some(live) = live
            && key.0 != "Basic"
            && self.quirks.guards_updates
            // What was hidden cannot be told from what is not there, unless the server looks itself.
            && (self.quirks.guards_creates || request.if_match.is_some() || !self.once_restricted.contains(key))
            && !self.shown.contains(&(device, key.clone(), live.number))
        {
            self.broken =
                Some(format!("device {device} wrote over a version of {key:?} that it had not seen"));
        }
        let status = if live.is_some() { 200 } else { 201 };
        self.store(key, Some(body), false);
        self.written(device, key, status)
    }

    fn delete(&mut self, device: usize, key: &Key, request: &Request) -> Reply {
        if self.restricted.contains(key) {
            return outcome(404);
        }
        let Some(live) = self.current(key, self.now_ms).filter(|version| version.body.is_some()).cloned()
        else {
            return outcome(if self.quirks.forgets_deleted { 404 } else { 410 });
        };
        if let Some(version) = request.if_match.as_ref().filter(|_| self.quirks.guards_updates)
            && self.version_text(live.number) != *version
        {
            return outcome(412);
        }
        let number = self.store(key, None, false);
        self.shown.insert((device, key.clone(), number));
        Reply { status: 204, version: Some(self.version_text(number)), ..Reply::default() }
    }

    fn written(&mut self, device: usize, key: &Key, status: u16) -> Reply {
        let shown = self.read(device, key);
        let is_bare = self.quirks.is_minimal || self.restricted.contains(key);
        let body = if is_bare { Vec::new() } else { shown.body };
        let location = Some(format!("{ADDRESS}/{}/{}/_history/1", key.0, key.1));
        Reply { status, location, body, ..shown }
    }
}

fn reply(status: u16, value: &Value) -> Reply {
    Reply { status, body: value.to_string().into_bytes(), ..Reply::default() }
}

pub(crate) fn outcome(status: u16) -> Reply {
    reply(
        status,
        &json!({ "resourceType": "OperationOutcome", "issue": [{ "severity": "error", "code": "processing" }] }),
    )
}
