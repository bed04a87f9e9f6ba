//! The words behind a script's name: its own options, its parameters, and options of nettrace itself.
//!
//! In: the words, and the options that the script asks for with `getopt`. Out: [`Words`], or what is wrong with them.

use std::fmt::Write as _;

use crate::imports::Files;
use crate::script::Script;
use nettrace_compiler::kernel::similar;
use nettrace_compiler::macros::Given;
use nettrace_compiler::unit::{OptionValue, Parameters, ScriptOption};
use nettrace_grammar::ast::{Expr, StmtKind};
use nettrace_grammar::{Diagnostic, FileId, SourceMap, Span, codes, parse_body};

/// What the words say.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// `$1`, `$2`, …
    pub(crate) params: Vec<String>,
    /// Where they stand in the sources.
    pub(crate) spans: Vec<Span>,
    /// The script's own options.
    pub(crate) options: Vec<(String, OptionValue)>,
    /// Expressions that options give.
    pub(crate) given: Vec<Given>,
    /// Where the texts of options stand in the sources.
    pub(crate) option_spans: Vec<(String, Span)>,
    /// Options of nettrace, with their values, as they were written.
    pub(crate) own: Vec<String>,
    /// `--help`
    pub(crate) help: bool,
    /// All of them, as they were written.
    pub(crate) written: Vec<String>,
}

/// How many values follow an option of nettrace; `None` for what is not one.
pub(crate) type Own<'a> = &'a dyn Fn(&str) -> Option<usize>;

/// Sorts the words.
pub(crate) fn read(
    words: &[String],
    known: &[ScriptOption],
    own: Own<'_>,
) -> Result<Words, Box<Diagnostic>> {
    let mut out = Words {
        written: words.to_vec(),
        ..Words::default()
    };
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            continue;
        }
        if let Some((name, value)) = long(word)
            && let Some(option) = known.iter().find(|o| o.name == name)
        {
            let flag = matches!(option.default, OptionValue::Flag(_));
            let value = match (value, flag) {
                (Some(value), _) => Some(value.to_string()),
                (None, true) => None,
                (None, false) => Some(rest.next().ok_or_else(|| no_value(option))?.clone()),
            };
            let value = convert(option, value.as_deref())?;
            out.options.push((name.to_string(), value));
        } else if word == "--help" {
            out.help = true;
        } else if let Some(values) = own(word) {
            out.own.push(word.clone());
            out.own.extend(rest.by_ref().take(values).cloned());
        } else if let Some((name, _)) = long(word) {
            return Err(unknown(name, known));
        } else {
            out.params.push(word.clone());
        }
    }
    Ok(out)
}

impl Words {
    /// Fits the parameters to what the script uses: a single one may be written without quotes, of several each must be there.
    pub(crate) fn fit(&mut self, uses: Parameters, exactly: bool) -> Result<(), Box<Diagnostic>> {
        if uses.counted {
            return Ok(());
        }
        if uses.highest == 1 && self.params.len() > 1 {
            self.params = vec![self.params.join(" ")];
        }
        let given = self.params.len();
        let wanted = uses.highest as usize;
        if !exactly || given == wanted || (wanted == 1 && given == 0) {
            return Ok(());
        }
        let plural = |n| if n == 1 { "" } else { "s" };
        let message = match wanted {
            0 => format!(
                "the script takes no parameter, and `{}` is one",
                self.params.join(" ")
            ),
            _ => format!(
                "the script takes {wanted} parameter{}, and {given} {} given",
                plural(wanted),
                if given == 1 { "is" } else { "are" }
            ),
        };
        let diag = Diagnostic::host(codes::UNKNOWN_OPTION, message);
        Err(Box::new(match wanted {
            0 => diag.help("--help behind the script's name shows what it takes"),
            _ => diag.help(
                "put each of them into quotes: 'host 10.0.0.1 and tcp port 443' 'host 10.0.0.2'",
            ),
        }))
    }

    /// Makes the parameters and the options' texts texts of the sources, so that messages can point into them. Reads the expressions
    /// among them; what is wrong with these is a problem of the script.
    pub(crate) fn add_to(&mut self, script: &mut Script) {
        let Script { sources, unit, .. } = script;
        for (name, value) in &self.options {
            let is_list = unit
                .options
                .iter()
                .any(|o| o.name == *name && o.expressions);
            if let (OptionValue::Text(text), true) = (value, is_list) {
                for part in parts(text) {
                    let file = sources.add(format!("--{name}"), part);
                    match expression(sources, file) {
                        Ok(expr) => self.given.push(Given {
                            option: name.clone(),
                            text: part.to_string(),
                            expr,
                        }),
                        Err(mut diags) => script.problems.append(&mut diags),
                    }
                }
            } else if let OptionValue::Text(text) = value {
                let file = sources.add(format!("--{name}"), text.clone());
                let lo = sources.file(file).base;
                let span = Span::new(lo, lo + text.len() as u32);
                self.option_spans.push((name.clone(), span));
            }
        }
        unit.add_macros_of(sources, self.given.iter().map(|given| &given.expr), &Files);
        if self.params.is_empty() {
            return;
        }
        let file = sources.add("command line", self.params.join(" "));
        let mut lo = sources.file(file).base;
        self.spans = self
            .params
            .iter()
            .map(|param| {
                let span = Span::new(lo, lo + param.len() as u32);
                lo = span.hi + 1;
                span
            })
            .collect();
    }
}

/// The expressions of a list: what stands between commas that are in no brackets and no quotes.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quoted) = (Vec::new(), 0, 0i32, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth -= 1,
            ',' if !quoted && depth <= 0 => {
                parts.push(text.get(start..at).unwrap_or_default().trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default().trim());
    parts.retain(|part| !part.is_empty());
    parts
}

/// A file that holds one expression.
fn expression(sources: &SourceMap, file: FileId) -> Result<Expr, Vec<Diagnostic>> {
    let parsed = parse_body(sources, file);
    if !parsed.diags.is_empty() {
        return Err(parsed.diags);
    }
    let mut stmts = parsed
        .script
        .probes
        .into_iter()
        .flat_map(|probe| probe.body.stmts);
    match (stmts.next().map(|stmt| stmt.kind), stmts.next()) {
        (Some(StmtKind::Expr(expr)), None) => Ok(expr),
        _ => {
            let source = sources.file(file);
            let span = Span::new(source.base, source.base + source.text.len() as u32);
            Err(vec![
                Diagnostic::error(codes::UNKNOWN_OPTION, span, "this is not an expression")
                    .help("write expressions with commas between: 'skb->hash, skb->len'"),
            ])
        }
    }
}

/// Name and value of `--name=value`.
fn long(word: &str) -> Option<(&str, Option<&str>)> {
    let word = word.strip_prefix("--")?;
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        .then_some((name, value))
}

fn convert(option: &ScriptOption, value: Option<&str>) -> Result<OptionValue, Box<Diagnostic>> {
    let converted = match (&option.default, value) {
        (OptionValue::Flag(_), None) => Some(OptionValue::Flag(true)),
        (OptionValue::Flag(_), Some("true" | "1" | "yes" | "on")) => Some(OptionValue::Flag(true)),
        (OptionValue::Flag(_), Some("false" | "0" | "no" | "off")) => {
            Some(OptionValue::Flag(false))
        }
        (OptionValue::Number(_), Some(text)) => number(text).map(OptionValue::Number),
        (OptionValue::Text(_), Some(text)) => {
            let fits = option.allowed.is_empty() || option.allowed.iter().any(|word| word == text);
            fits.then(|| OptionValue::Text(text.to_string()))
        }
        _ => None,
    };
    converted.ok_or_else(|| {
        let wanted = match option.default {
            OptionValue::Flag(_) => "`true` or `false`, or nothing",
            OptionValue::Number(_) => "a number",
            OptionValue::Text(_) if !option.allowed.is_empty() => &option.allowed.join(", "),
            OptionValue::Text(_) => "a text",
        };
        let message = format!(
            "the option --{} cannot be `{}`",
            option.name,
            value.unwrap_or("")
        );
        let help = format!("it takes {wanted}");
        Box::new(Diagnostic::host(codes::UNKNOWN_OPTION, message).help(help))
    })
}

fn number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok().map(|n| n as i64),
        None => text.parse().ok(),
    }
}

fn no_value(option: &ScriptOption) -> Box<Diagnostic> {
    let message = format!("the option --{} needs a value", option.name);
    let help = format!("write --{}=VALUE", option.name);
    Box::new(Diagnostic::host(codes::UNKNOWN_OPTION, message).help(help))
}

fn unknown(name: &str, known: &[ScriptOption]) -> Box<Diagnostic> {
    let message = format!("the script has no option --{name}");
    let diag = Diagnostic::host(codes::UNKNOWN_OPTION, message);
    let near = similar::nearest(name, known.iter().map(|o| o.name.as_str()));
    Box::new(match near.first() {
        Some(near) => diag.help(format!("did you mean --{near}?")),
        None => diag.help("--help behind the script's name shows its options"),
    })
}

/// What `nettrace run SCRIPT --help` prints: the script's own words about itself, then its options.
pub(crate) fn help(name: &str, text: &str, options: &[ScriptOption]) -> String {
    let mut out = String::new();
    let about = text
        .lines()
        .skip_while(|line| line.starts_with("#!"))
        .map_while(|line| line.strip_prefix("//"));
    for line in about {
        let _ = writeln!(out, "{}", line.strip_prefix(' ').unwrap_or(line));
    }
    if !out.is_empty() {
        out.push('\n');
    }
    let _ = writeln!(
        out,
        "Usage: nettrace run {name}{} [PARAM]…",
        if options.is_empty() {
            ""
        } else {
            " [OPTION]…"
        }
    );
    if options.is_empty() {
        return out;
    }
    out.push_str("\nOptions:\n");
    let forms: Vec<String> = options
        .iter()
        .map(|o| match &o.default {
            OptionValue::Flag(_) => format!("--{}", o.name),
            OptionValue::Number(_) => format!("--{} N", o.name),
            OptionValue::Text(_) => format!("--{} TEXT", o.name),
        })
        .collect();
    let width = forms.iter().map(String::len).max().unwrap_or(0);
    for (form, option) in forms.iter().zip(options) {
        let default = match &option.default {
            OptionValue::Flag(false) => String::new(),
            OptionValue::Flag(true) => " [default: true]".to_string(),
            OptionValue::Number(n) => format!(" [default: {n}]"),
            OptionValue::Text(text) if text.is_empty() => String::new(),
            OptionValue::Text(text) => format!(" [default: {text}]"),
        };
        let line = format!("  {form:width$}  {}{default}", option.help);
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use nettrace_grammar::Span;

    fn known() -> Vec<ScriptOption> {
        let option = |name: &str, default, help: &str| ScriptOption {
            name: name.to_string(),
            default,
            help: help.to_string(),
            expressions: false,
            allowed: Vec::new(),
            span: Span::default(),
        };
        vec![
            option("stack", OptionValue::Flag(false), "show stacks"),
            option("limit", OptionValue::Number(0), "stop after N"),
            option("dev", OptionValue::Text("eth0".to_string()), ""),
        ]
    }

    #[test]
    fn lists_of_expressions_are_taken_apart() {
        assert_eq!(
            parts("skb->hash, f(a, b),\"x,y\", a[1,2],"),
            ["skb->hash", "f(a, b)", "\"x,y\"", "a[1,2]"]
        );
        let mut sources = SourceMap::new();
        let read = |sources: &mut SourceMap, text: &str| {
            let file = sources.add("--fields", text);
            expression(sources, file).map_err(|diags| diags[0].message.clone())
        };
        assert!(read(&mut sources, "skb->len * 8").is_ok());
        let rows = [
            ("skb->", "expected a name"),
            ("$x = 1", "this is not an expression"),
        ];
        for (text, message) in rows {
            let said = read(&mut sources, text).expect_err("a mistake");
            assert!(said.contains(message), "{said}");
        }
    }

    fn words(text: &str) -> Result<Words, String> {
        let words: Vec<String> = text.split(' ').map(str::to_string).collect();
        let own = |word: &str| match word {
            "-f" => Some(1),
            "-q" => Some(0),
            _ => None,
        };
        read(&words, &known(), &own).map_err(|diag| diag.message)
    }

    #[test]
    fn words_are_told_apart() {
        let found = words("--stack -f json --limit=5 icmp -q --dev lo").expect("all known");
        assert_eq!(found.params, ["icmp"]);
        assert_eq!(found.own, ["-f", "json", "-q"]);
        assert_eq!(
            found.options,
            [
                ("stack".to_string(), OptionValue::Flag(true)),
                ("limit".to_string(), OptionValue::Number(5)),
                ("dev".to_string(), OptionValue::Text("lo".to_string())),
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let rows = [
            ("--limt 5", "the script has no option --limt"),
            ("--limit five", "the option --limit cannot be `five`"),
            ("--stack=maybe", "the option --stack cannot be `maybe`"),
            ("--dev", "the option --dev needs a value"),
        ];
        for (text, message) in rows {
            assert_eq!(words(text).err(), Some(message.to_string()));
        }
    }

    #[test]
    fn one_filter_needs_no_quotes_and_two_do() {
        let fit = |params: &str, highest| {
            let mut words = Words {
                params: params.split_whitespace().map(str::to_string).collect(),
                ..Words::default()
            };
            let uses = Parameters {
                highest,
                counted: false,
            };
            let fitted = words.fit(uses, true).map_err(|diag| diag.message);
            fitted.map(|()| words.params)
        };
        assert_eq!(fit("tcp port 443", 1), Ok(vec!["tcp port 443".to_string()]));
        assert_eq!(fit("", 1), Ok(Vec::new()));
        assert_eq!(fit("tcp udp", 2).map(|params| params.len()), Ok(2));
        let rows = [
            ("tcp", 2, "the script takes 2 parameters, and 1 is given"),
            (
                "tcp or udp",
                2,
                "the script takes 2 parameters, and 3 are given",
            ),
            (
                "tcp port 1",
                0,
                "the script takes no parameter, and `tcp port 1` is one",
            ),
        ];
        for (params, highest, message) in rows {
            assert_eq!(fit(params, highest), Err(message.to_string()));
        }
    }

    #[test]
    fn help_shows_what_the_script_says() {
        let text = "// Finds things.\n// Slowly.\nbegin { }";
        assert_eq!(
            help("x", text, &known()),
            "Finds things.\nSlowly.\n\nUsage: nettrace run x [OPTION]… [PARAM]…\n\nOptions:\n  --stack     show stacks\n  --limit N   stop after N [default: 0]\n  --dev TEXT   [default: eth0]\n"
        );
    }
}
