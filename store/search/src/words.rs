//! The words of a resource, for full text.
//!
//! A word is a stretch of letters and digits of the folded text. `_text` looks at the narrative, `_content` at every
//! text of the resource, the narrative included.

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
    let mut words = Words::default();
    words.narrative(json);
    let narrative = words.take();
    words.content(json);
    let content = words.take();
    for word in &narrative {
        out.add(ParameterNumber::TEXT, Facet::Word, |bytes, _| bytes.extend_from_slice(word.as_bytes()));
    }
    for word in content.iter().filter(|word| narrative.binary_search(word).is_err()) {
        out.add(ParameterNumber::CONTENT, Facet::Word, |bytes, _| bytes.extend_from_slice(word.as_bytes()));
    }
    out.sort();
}

/// The words of the narrative, or of the whole resource: sorted, each once.
pub(crate) fn words_of(json: &[u8], number: ParameterNumber) -> Vec<Box<str>> {
    let mut words = Words::default();
    words.narrative(json);
    let mut found = words.take();
    if number == ParameterNumber::CONTENT {
        words.content(json);
        found.extend(words.take());
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
        let mut found = std::mem::take(&mut found.list);
        if let Some(last) = found.last_mut().filter(|_| part.ends_with('*')) {
            *last = format!("{last}*").into();
        }
        words.extend(found);
    }
    words
}

#[derive(Default)]
struct Words {
    list: Vec<Box<str>>,
    folded: String,
}

impl Words {
    fn take(&mut self) -> Vec<Box<str>> {
        self.list.sort_unstable();
        self.list.dedup();
        std::mem::take(&mut self.list)
    }

    fn text(&mut self, text: &str) {
        let mut folded = std::mem::take(&mut self.folded);
        folded.clear();
        fold(text, &mut folded);
        for word in folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            if self.list.len() < MAX_WORDS {
                self.list.push(word[..word.floor_char_boundary(MAX_WORD_BYTES)].into());
            }
        }
        self.folded = folded;
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
            if !matches!(&*key, b"resourceType" | b"id" | b"meta") {
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
                        // The bytes of attachments are no words.
                        b"data" => {}
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
