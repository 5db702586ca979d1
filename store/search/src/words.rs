//! The words of a resource, for full text.
//!
//! A word is a stretch of letters and digits of the folded text. `_text` looks at the narrative, `_content` at every
//! text of the resource, the narrative included; not at references, systems and URLs, which have parameters of their
//! own and would be half of all words.

use crate::fold::fold;
use crate::json::{items, member, members, text};
use crate::parameter::ParameterNumber;
use crate::term::Facet;
use crate::terms::Terms;

/// Words are cut to this length.
pub const MAX_WORD_BYTES: usize = 32;

/// How many words of the narrative, and as many of the rest, are looked at; those behind them are not found.
pub const MAX_WORDS: usize = 20_000;

/// Adds the terms of the words of a resource. It is a step of its own because full text may take as much space as all
/// other terms together. A word of the narrative is not repeated among the others: who asks for `_content` asks for
/// both.
pub fn add_words(json: &[u8], out: &mut Terms) {
    let (narrative, content) = (Words::of_narrative(json), Words::of_content(json));
    for word in narrative.iter() {
        out.add(ParameterNumber::TEXT, Facet::Word, |bytes, _| bytes.extend_from_slice(word.as_bytes()));
    }
    for word in content.iter().filter(|word| !narrative.contains(word)) {
        out.add(ParameterNumber::CONTENT, Facet::Word, |bytes, _| bytes.extend_from_slice(word.as_bytes()));
    }
    out.sort();
}

/// The words of the narrative, or of the whole resource: sorted, each once.
pub(crate) fn words_of(json: &[u8], number: ParameterNumber) -> Vec<Box<str>> {
    let mut found: Vec<Box<str>> = Words::of_narrative(json).iter().map(Box::from).collect();
    if number == ParameterNumber::CONTENT {
        found.extend(Words::of_content(json).iter().map(Box::from));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The words of a search; one that ends in `*` keeps it.
pub(crate) fn query_words(text: &str) -> Vec<Box<str>> {
    let mut words = Vec::new();
    for part in text.split_whitespace() {
        let mut found = Words::default();
        found.text(part);
        let mut found: Vec<Box<str>> = found.iter().map(Box::from).collect();
        if let Some(last) = found.last_mut().filter(|_| part.ends_with('*')) {
            *last = format!("{last}*").into();
        }
        words.extend(found);
    }
    words
}

/// Words in one piece of memory.
#[derive(Default)]
struct Words {
    folded: String,
    /// Where each word stands in it.
    spans: Vec<(usize, usize)>,
}

impl Words {
    /// Those of the narrative, sorted, each once.
    fn of_narrative(json: &[u8]) -> Self {
        let mut words = Self::default();
        words.narrative(json);
        words.sort();
        words
    }

    /// Those of everything else, sorted, each once.
    fn of_content(json: &[u8]) -> Self {
        let mut words = Self::default();
        words.content(json);
        words.sort();
        words
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        self.spans.iter().map(|&(start, end)| &self.folded[start..end])
    }

    /// Whether a word is among them, once they are sorted.
    fn contains(&self, word: &str) -> bool {
        self.spans.binary_search_by(|&(start, end)| self.folded[start..end].cmp(word)).is_ok()
    }

    fn sort(&mut self) {
        let word = |span: &(usize, usize)| &self.folded[span.0..span.1];
        self.spans.sort_unstable_by(|left, right| word(left).cmp(word(right)));
        self.spans.dedup_by(|left, right| word(left) == word(right));
    }

    fn text(&mut self, text: &str) {
        let mut at = self.folded.len();
        fold(text, &mut self.folded);
        for word in self.folded[at..].split(|c: char| !c.is_alphanumeric()) {
            if !word.is_empty() && self.spans.len() < MAX_WORDS {
                self.spans.push((at, at + word.floor_char_boundary(MAX_WORD_BYTES)));
            }
            let gap = self.folded[at + word.len()..].chars().next().map_or(0, char::len_utf8);
            at += word.len() + gap;
        }
    }

    fn narrative(&mut self, json: &[u8]) {
        let div = member(json, "text").and_then(|narrative| member(narrative, "div")).and_then(text);
        if let Some(div) = div {
            self.markup(&div);
        }
    }

    /// The text between tags, with the entities of XML as gaps: they are punctuation, most of the time.
    fn markup(&mut self, div: &str) {
        let mut rest = div;
        while let Some(open) = rest.find('<') {
            self.character_data(&rest[..open]);
            let close = rest[open..].find('>').map_or(rest.len(), |length| open + length + 1);
            rest = &rest[close..];
        }
        self.character_data(rest);
    }

    fn character_data(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.find('&') {
            self.text(&rest[..at]);
            rest = rest[at..].split_once(';').map_or("", |(_, rest)| rest);
        }
        self.text(rest);
    }

    /// Every string of the resource but keys and the narrative.
    fn content(&mut self, json: &[u8]) {
        for (key, value) in members(json).filter(|(key, _)| **key != *b"text") {
            if !matches!(&*key, b"resourceType" | b"id" | b"meta" | b"url") {
                self.value(value);
            }
        }
    }

    fn value(&mut self, json: &[u8]) {
        match json.first() {
            Some(b'"') => {
                if let Some(text) = text(json) {
                    self.text(&text);
                }
            }
            Some(b'{') => {
                for (key, value) in members(json) {
                    match &*key {
                        // The bytes of attachments are no words, and the others have parameters of their own.
                        b"data" | b"reference" | b"system" | b"url" => {}
                        b"div" => text(value).iter().for_each(|div| self.markup(div)),
                        _ => self.value(value),
                    }
                }
            }
            Some(b'[') => items(json).for_each(|item| self.value(item)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrative_and_content_give_folded_words() {
        let json = r#"{"resourceType":"Observation","text":{"div":"<div a='x'><b>Übel</b>&amp;Gut 7</div>"},
            "note":[{"text":"Gut gemacht, d'accord"}],"valueQuantity":{"value":42}}"#;
        let text = words_of(json.as_bytes(), ParameterNumber::TEXT);
        assert_eq!(text, ["7", "gut", "ubel"].map(Box::from));
        let content = words_of(json.as_bytes(), ParameterNumber::CONTENT);
        assert_eq!(content, ["7", "accord", "d", "gemacht", "gut", "ubel"].map(Box::from));
        let mut terms = Terms::new();
        add_words(json.as_bytes(), &mut terms);
        assert_eq!(terms.len(), 6);
    }

    #[test]
    fn searched_words_may_go_on() {
        assert_eq!(query_words("Blut-druck  hoch*"), ["blut", "druck", "hoch*"].map(Box::from));
        assert_eq!(query_words("* ,"), Vec::<Box<str>>::new());
    }
}
