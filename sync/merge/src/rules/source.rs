//! The file `rules.txt`, as lines taken apart.

/// The lines of the file, by what they are.
#[derive(Default)]
pub(super) struct Source {
    pub(super) classes: Vec<(&'static str, &'static str)>,
    pub(super) open: Vec<(&'static str, &'static str)>,
    pub(super) children: Vec<&'static str>,
    pub(super) whole: Vec<&'static str>,
    pub(super) theirs: Vec<&'static str>,
    pub(super) keys: Vec<KeyLine>,
    pub(super) groups: Vec<GroupLine>,
    pub(super) anchors: Vec<&'static str>,
    pub(super) errors: Vec<&'static str>,
    pub(super) signed: Vec<&'static str>,
}

/// `key NAME : identity | identity ~ edit`
pub(super) struct KeyLine {
    pub(super) name: &'static str,
    pub(super) identities: Vec<Vec<&'static str>>,
    pub(super) edits: Vec<Vec<&'static str>>,
}

/// `group NAME members` or `group NAME all-but members`
pub(super) struct GroupLine {
    pub(super) name: &'static str,
    pub(super) is_all_but: bool,
    /// Each with whether it is a head.
    pub(super) members: Vec<(&'static str, bool)>,
}

impl Source {
    /// # Errors
    /// The number of the line that is not understood.
    pub(super) fn read(text: &'static str) -> Result<Self, String> {
        let mut source = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                source.line(line).ok_or_else(|| format!("line {} is not understood", index + 1))?;
            }
        }
        Ok(source)
    }

    fn line(&mut self, line: &'static str) -> Option<()> {
        let (kind, rest) = line.split_once(' ')?;
        let mut words = rest.split_whitespace();
        match kind {
            "class" => {
                let class = words.next()?;
                self.classes.extend(words.map(|name| (name, class)));
            }
            "open" => {
                let name = words.next()?;
                self.open.extend(words.map(|code| (name, code)));
            }
            "children" => self.children.extend(words),
            "whole" => self.whole.extend(words),
            "theirs" => self.theirs.extend(words),
            "anchor" => self.anchors.extend(words),
            "error" => self.errors.extend(words),
            "signed" => self.signed.extend(words),
            "key" => self.keys.push(KeyLine::read(rest)?),
            "group" => self.groups.push(GroupLine::read(rest)?),
            _ => return None,
        }
        Some(())
    }
}

impl KeyLine {
    fn read(text: &'static str) -> Option<Self> {
        let (name, keys) = text.split_once(" : ")?;
        let components = |key: &'static str| key.split_whitespace().collect::<Vec<_>>();
        let mut parts = keys.split('~');
        let identities = parts.next()?.split('|').map(components).collect();
        Some(Self { name, identities, edits: parts.map(components).collect() })
    }
}

impl GroupLine {
    fn read(text: &'static str) -> Option<Self> {
        let mut words = text.split_whitespace().peekable();
        let name = words.next()?;
        let is_all_but = words.next_if_eq(&"all-but").is_some();
        let members = words.map(|word| (word.trim_end_matches('!'), word.ends_with('!'))).collect();
        Some(Self { name, is_all_but, members })
    }
}
