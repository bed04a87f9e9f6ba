//! A BTF type taken apart into names, ids and plain numbers, so that it can be put together with others.

use nettrace_compiler::kernel::btf::raw::{RawSection, RawType, kind, word};

/// A type.
pub(crate) struct Record {
    pub(crate) kind: u8,
    pub(crate) vlen: u16,
    pub(crate) flag: bool,
    pub(crate) name: String,
    /// The third word of the header.
    pub(crate) third: Word,
    /// Members, values, parameters; or, without names, what else follows the header.
    pub(crate) parts: Vec<Part>,
}

/// A member, value or parameter.
pub(crate) struct Part {
    /// `None` where the format has no name.
    pub(crate) name: Option<String>,
    pub(crate) words: Vec<Word>,
}

/// A number of the encoding.
#[derive(Clone, Copy)]
pub(crate) enum Word {
    Plain(u32),
    Type(u32),
}

impl Record {
    /// Takes a type of `raw` apart; `base` has the strings that `raw` continues.
    pub(crate) fn new(base: &RawSection, raw: &RawSection, ty: &RawType<'_>) -> Record {
        let text = |offset: u32| {
            let text = base.string(offset).or_else(|| raw.string(offset));
            text.unwrap_or_default().to_string()
        };
        let third = match ty.kind {
            kind::PTR | kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT => {
                Word::Type(ty.size_or_type)
            }
            kind::FUNC | kind::FUNC_PROTO | kind::TYPE_TAG => Word::Type(ty.size_or_type),
            _ => Word::Plain(ty.size_or_type),
        };
        // Words per part, whether the first is a name, and which one is a type.
        let (stride, named, types): (usize, bool, &[usize]) = match ty.kind {
            kind::STRUCT | kind::UNION => (3, true, &[1]),
            kind::FUNC_PROTO => (2, true, &[1]),
            kind::ENUM => (2, true, &[]),
            kind::ENUM64 => (3, true, &[]),
            kind::ARRAY => (3, false, &[0, 1]),
            _ => (1, false, &[]),
        };
        let part = |chunk: &[u8]| {
            let words = (0..stride).filter_map(|i| Some((i, word(chunk, 4 * i)?)));
            Part {
                name: named.then(|| text(word(chunk, 0).unwrap_or(0))),
                words: words
                    .filter(|(i, _)| !(named && *i == 0))
                    .map(|(i, w)| {
                        if types.contains(&i) {
                            Word::Type(w)
                        } else {
                            Word::Plain(w)
                        }
                    })
                    .collect(),
            }
        };
        Record {
            kind: ty.kind,
            vlen: ty.vlen,
            flag: ty.flag,
            name: text(ty.name),
            third,
            parts: ty.rest.chunks_exact(4 * stride).map(part).collect(),
        }
    }

    /// Ids of the types that this one mentions.
    pub(crate) fn mentions(&self) -> impl Iterator<Item = u32> {
        let words = self.parts.iter().flat_map(|p| &p.words);
        std::iter::once(&self.third)
            .chain(words)
            .filter_map(|w| match w {
                Word::Type(id) => Some(*id),
                Word::Plain(_) => None,
            })
    }

    pub(crate) fn is_composite(&self) -> bool {
        matches!(self.kind, kind::STRUCT | kind::UNION)
    }
}
