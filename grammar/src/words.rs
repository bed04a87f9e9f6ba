//! A text as an editor sees it: coloured words, and whether more has to come.
//!
//! In: any text, finished or not, script or statements. Out: [`Word`]s in order, without the blanks between them. It does not parse: what
//! a word means to the language is decided elsewhere.

use crate::lexer::raw;
use crate::token::{LexError, Tok};

/// What a word is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// `if`, `struct`, `sizeof`, …
    Keyword,
    /// A number.
    Number,
    /// A string.
    Text,
    /// `$v`, `$1`
    Variable,
    /// `@m`
    Map,
    /// Any other name.
    Name,
    /// `(`, `[`, `{`
    Open,
    /// `)`, `]`, `}`
    Close,
    /// `.`, `->`, `+`, …
    Operator,
    /// `// …`
    Comment,
    /// No word of the language.
    Bad,
}

/// A word and where it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Word {
    /// What it is.
    pub class: Class,
    /// First byte.
    pub lo: usize,
    /// One past the last byte.
    pub hi: usize,
}

/// The words of a text.
pub fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut at = 0;
    let comments = |words: &mut Vec<Word>, lo: usize, hi: usize| {
        let between = text.get(lo..hi).unwrap_or("");
        let start = between.len() - between.trim_start().len();
        let end = between.trim_end().len();
        if start < end {
            words.push(Word {
                class: Class::Comment,
                lo: lo + start,
                hi: lo + end,
            });
        }
    };
    while let Some(lexeme) = raw(text, at) {
        comments(&mut words, at, lexeme.lo);
        let class = match &lexeme.tok {
            Ok(tok) => class(tok),
            Err(LexError::OpenString) => Class::Text,
            Err(_) => Class::Bad,
        };
        words.push(Word {
            class,
            lo: lexeme.lo,
            hi: lexeme.hi,
        });
        // A lexeme is never empty; this keeps the loop going whatever happens.
        at = lexeme.hi.max(at + 1);
    }
    comments(&mut words, at.min(text.len()), text.len());
    words
}

fn class(tok: &Tok<'_>) -> Class {
    match tok {
        Tok::Int(_) => Class::Number,
        Tok::Str(_) => Class::Text,
        Tok::Var(_) | Tok::Positional(_) | Tok::PositionalCount => Class::Variable,
        Tok::Map(_) => Class::Map,
        Tok::LParen | Tok::LBracket | Tok::LBrace => Class::Open,
        Tok::RParen | Tok::RBracket | Tok::RBrace => Class::Close,
        Tok::Ident(_) => Class::Name,
        Tok::Bad => Class::Bad,
        tok if tok.is_word() => Class::Keyword,
        _ => Class::Operator,
    }
}

/// Whether brackets or a comment of a text are open. One closing bracket too many is a mistake that no further line mends.
pub fn is_open(text: &str) -> bool {
    let mut open = 0usize;
    let words = words(text);
    for word in &words {
        match word.class {
            Class::Open => open += 1,
            Class::Close if open == 0 => return false,
            Class::Close => open -= 1,
            _ => {}
        }
    }
    let comment = words.last().filter(|word| word.class == Class::Comment);
    let comment = comment.and_then(|word| text.get(word.lo..word.hi));
    open > 0 || comment.is_some_and(|c| c.starts_with("/*") && !c.ends_with("*/"))
}

/// Whether a text ends with an operator that wants something behind it.
pub fn hangs(text: &str) -> bool {
    const HANGING: [&str; 21] = [
        "+", "-", "*", "%", "&&", "||", "=", "==", "!=", "<", "<=", ">", ">=", ".", "->", ",", "?",
        ":", "|", "^", "&",
    ];
    let words = words(text);
    let last = words.iter().rev().find(|word| word.class != Class::Comment);
    let last = last.and_then(|word| text.get(word.lo..word.hi));
    last.is_some_and(|last| HANGING.contains(&last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(text: &str) -> String {
        let show = |word: &Word| {
            format!(
                "{:?}:{}",
                word.class,
                text.get(word.lo..word.hi).unwrap_or("")
            )
        };
        words(text).iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_have_classes() {
        assert_eq!(
            classes("if ($x) { @m[1] = sizeof(a); } // why"),
            "Keyword:if Open:( Variable:$x Close:) Open:{ Map:@m Open:[ Number:1 Close:] Operator:= Keyword:sizeof \
             Open:( Name:a Close:) Operator:; Close:} Comment:// why"
        );
        assert_eq!(classes("\"open"), "Text:\"open");
        assert_eq!(classes("/* c */ 1"), "Comment:/* c */ Number:1");
        assert_eq!(classes(""), "");
    }

    #[test]
    fn what_is_not_finished() {
        for text in ["f(", "kprobe:f { print(1)", "/* a", "x[1"] {
            assert!(is_open(text), "{text}");
        }
        for text in ["f()", "}", "f() }", "// a (", "\"(\"", "/* a */"] {
            assert!(!is_open(text), "{text}");
        }
        assert!(hangs("1 +") && hangs("a -> // field") && !hangs("1 + 2") && !hangs("$x++"));
    }
}
