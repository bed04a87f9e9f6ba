//! The commands of a session: one row each. Help, completion and the session read the same row.

use nettrace_compiler::kernel::similar;
use nettrace_compiler::pipeline::Stage;
use nettrace_grammar::{Diagnostic, codes};
use nettrace_runtime::units::Units;
use std::time::{Duration, Instant};

use super::entry::{self, Entry};
use super::{Session, look, store};
use crate::options::Words;

/// What stands behind a command's name, for completion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Takes {
    /// Nothing.
    Nothing,
    /// Numbers of probes.
    Numbers,
    /// A pattern of probes, or a type.
    Pattern,
    /// A type.
    Type,
    /// A file.
    File,
    /// The name of a ready script.
    ReadyScript,
    /// A builtin, command or probe kind.
    Word,
    /// Maps.
    Maps,
    /// A setting.
    Setting,
    /// A stage of the compilation, then a number or text.
    Stage,
}

/// A row.
pub(crate) struct Command {
    /// Without the colon.
    pub(crate) name: &'static str,
    /// As help writes it.
    pub(crate) args: &'static str,
    /// One sentence.
    pub(crate) doc: &'static str,
    /// What is completed behind it.
    pub(crate) takes: Takes,
    run: fn(&mut Session<'_>, &str),
}

/// All commands in the order of help.
pub(crate) static COMMANDS: &[Command] = &[
    Command {
        name: "probes",
        args: "",
        doc: "Lists the probes of the session with their numbers.",
        takes: Takes::Nothing,
        run: probes,
    },
    Command {
        name: "stop",
        args: "N… | all",
        doc: "Detaches probes; they keep their numbers.",
        takes: Takes::Numbers,
        run: stop,
    },
    Command {
        name: "start",
        args: "N… | all",
        doc: "Attaches stopped probes again.",
        takes: Takes::Numbers,
        run: start,
    },
    Command {
        name: "mute",
        args: "N… | all",
        doc: "Does not print the events of probes any more, or prints them again; maps go on.",
        takes: Takes::Numbers,
        run: mute,
    },
    Command {
        name: "edit",
        args: "N [PROBE]",
        doc: "Replaces a probe by another one under the same number, without a gap.",
        takes: Takes::Numbers,
        run: edit,
    },
    Command {
        name: "stats",
        args: "",
        doc: "Shows for each probe its events, losses, runs and nanoseconds per run.",
        takes: Takes::Nothing,
        run: stats,
    },
    Command {
        name: "type",
        args: "TYPE[.MEMBER…]",
        doc: "Shows a type of the kernel with offsets and the module it is from.",
        takes: Takes::Type,
        run: look::show_type,
    },
    Command {
        name: "list",
        args: "PATTERN",
        doc: "Lists probes that match a pattern, with their arguments: `:list kprobe:nf_ct_*`.",
        takes: Takes::Pattern,
        run: look::list,
    },
    Command {
        name: "emit",
        args: "STAGE N|ENTRY",
        doc: "Shows what the compiler makes of a probe or an entry: ast, typed, ir, asm.",
        takes: Takes::Stage,
        run: emit,
    },
    Command {
        name: "run",
        args: "NAME [WORDS]",
        doc: "Runs a script that comes with nettrace in this session.",
        takes: Takes::ReadyScript,
        run: run_ready,
    },
    Command {
        name: "load",
        args: "FILE [WORDS]",
        doc: "Runs a script file in this session.",
        takes: Takes::File,
        run: load,
    },
    Command {
        name: "save",
        args: "FILE",
        doc: "Writes a script that does what the session does.",
        takes: Takes::File,
        run: store::save,
    },
    Command {
        name: "set",
        args: "[NAME VALUE]",
        doc: "Changes an option of the config block for later entries, or shows what was changed.",
        takes: Takes::Setting,
        run: set,
    },
    Command {
        name: "clear",
        args: "[@MAP…]",
        doc: "Empties maps; without names it forgets stopped probes and maps that no probe uses.",
        takes: Takes::Maps,
        run: store::clear,
    },
    Command {
        name: "wait",
        args: "SECONDS",
        doc: "Waits, for sessions that are read from a file.",
        takes: Takes::Nothing,
        run: pause,
    },
    Command {
        name: "help",
        args: "[NAME]",
        doc: "Explains a builtin, probe kind or command.",
        takes: Takes::Word,
        run: look::help,
    },
    Command {
        name: "quit",
        args: "",
        doc: "Leaves and detaches everything; so does Ctrl-D.",
        takes: Takes::Nothing,
        run: quit,
    },
];

/// The command that a name or its unique beginning means.
pub(crate) fn find(name: &str) -> Result<&'static Command, Diagnostic> {
    if let Some(exact) = COMMANDS.iter().find(|c| c.name == name) {
        return Ok(exact);
    }
    let matching: Vec<&Command> = COMMANDS
        .iter()
        .filter(|c| !name.is_empty() && c.name.starts_with(name))
        .collect();
    match matching.as_slice() {
        [only] => Ok(only),
        [] => {
            let message = format!("there is no command `:{name}`");
            let diag = Diagnostic::host(codes::UNKNOWN_NAME, message);
            let near = similar::nearest(name, COMMANDS.iter().map(|c| c.name));
            Err(match near.first() {
                Some(near) => diag.help(format!("did you mean `:{near}`?")),
                None => diag.help("`:help` lists the commands"),
            })
        }
        several => {
            let names: Vec<String> = several.iter().map(|c| format!(":{}", c.name)).collect();
            let message = format!("`:{name}` may be {}", names.join(" or "));
            Err(Diagnostic::host(codes::UNKNOWN_NAME, message))
        }
    }
}

/// Carries out a command.
pub(super) fn carry_out(session: &mut Session<'_>, name: &str, rest: &str) {
    match find(name) {
        Ok(command) => (command.run)(session, rest),
        Err(diag) => session.wrong(diag),
    }
}

fn bad(message: impl Into<String>) -> Diagnostic {
    Diagnostic::host(codes::BAD_ARGUMENT, message.into())
}

/// The probes that `1 3`, `2-4` or `all` names; `None` after a complaint.
fn numbers(session: &Session<'_>, text: &str) -> Option<Vec<u32>> {
    let all: Vec<u32> = session.board.iter().map(|(number, _)| number).collect();
    if text == "all" {
        return Some(all);
    }
    let mut chosen = Vec::new();
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) else {
            session.wrong(
                bad(format!("`{word}` is no number of a probe")).help("`:probes` shows them"),
            );
            return None;
        };
        let mut found: Vec<u32> = all
            .iter()
            .copied()
            .filter(|n| (first..=last).contains(n))
            .collect();
        if found.is_empty() {
            session.wrong(bad(format!("there is no probe {word}")).help("`:probes` shows them"));
            return None;
        }
        chosen.append(&mut found);
    }
    if chosen.is_empty() {
        session.wrong(bad("which probe?").help("name it by its number, or write `all`"));
        return None;
    }
    Some(chosen)
}

fn probes(session: &mut Session<'_>, _: &str) {
    let stats = session.stats();
    let mut text = String::new();
    for (number, placed) in session.board.iter() {
        let own: Vec<_> = stats.iter().filter(|s| placed.programs.has(s)).collect();
        let mut state = match own.iter().any(|s| s.running) {
            true => "",
            false => "  (stopped)",
        }
        .to_string();
        if own.iter().any(|s| s.muted) {
            state.push_str("  (muted)");
        }
        if let Some(origin) = &placed.origin {
            state.push_str(&format!("  from {origin}"));
        }
        text.push_str(&format!("{number}: {}{state}\n", placed.title));
    }
    if text.is_empty() {
        text.push_str("no probes; an entry such as `kprobe:nf_ct_delete { @[comm] = count(); }` attaches one\n");
    }
    session.show(&text);
}

fn stop(session: &mut Session<'_>, rest: &str) {
    for number in numbers(session, rest).unwrap_or_default() {
        if let Some(placed) = session.board.get(number) {
            let programs = placed.programs.clone();
            session.ask(move |units| units.stop(&programs));
        }
    }
}

fn start(session: &mut Session<'_>, rest: &str) {
    for number in numbers(session, rest).unwrap_or_default() {
        let Some(placed) = session.board.get(number) else {
            continue;
        };
        let programs = placed.programs.clone();
        if let Some(Err(diags)) = session.ask(move |units| units.start(&programs)) {
            // Its places are in the sources of another compilation.
            for diag in diags {
                session.wrong(Diagnostic::host(diag.code, diag.message));
            }
        }
    }
}

fn mute(session: &mut Session<'_>, rest: &str) {
    let stats = session.stats();
    for number in numbers(session, rest).unwrap_or_default() {
        let Some(placed) = session.board.get(number) else {
            continue;
        };
        let programs = placed.programs.clone();
        let muted = stats.iter().any(|s| programs.has(s) && s.muted);
        session.ask(move |units| units.mute(&programs, !muted));
        session.say(&format!(
            "{number} is {}",
            if muted { "heard again" } else { "muted" }
        ));
    }
}

fn edit(session: &mut Session<'_>, rest: &str) {
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let (number, text) = rest.split_at(end);
    let Some(number) = numbers(session, number).and_then(|n| n.first().copied()) else {
        return;
    };
    let text = text.trim();
    if text.is_empty() {
        session.edit_line(number);
        return;
    }
    session.replace(number, text);
}

fn stats(session: &mut Session<'_>, _: &str) {
    let stats = session.stats();
    let mut rows =
        vec![["", "probe", "events", "lost", "missed", "runs", "ns/run"].map(str::to_string)];
    for (number, placed) in session.board.iter() {
        let own = || stats.iter().filter(|s| placed.programs.has(s));
        let sum =
            |of: fn(&nettrace_runtime::units::ProgramStats) -> u64| own().map(of).sum::<u64>();
        let (runs, time) = (sum(|s| s.runs), sum(|s| s.nanoseconds));
        rows.push([
            number.to_string(),
            placed.title.clone(),
            sum(|s| s.events).to_string(),
            sum(|s| s.lost).to_string(),
            sum(|s| s.missed).to_string(),
            runs.to_string(),
            time.checked_div(runs)
                .map_or("-".to_string(), |n| n.to_string()),
        ]);
    }
    let mut text = look::table(&rows, &[0, 2, 3, 4, 5, 6]);
    let refused = session.ask(Units::refused_entries).unwrap_or_default();
    for (map, entries) in refused {
        text.push_str(&format!("{map} is full: {entries} entries did not fit\n"));
    }
    session.show(&text);
}

fn emit(session: &mut Session<'_>, rest: &str) {
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let (name, what) = rest.split_at(end);
    let what = what.trim();
    let Some((_, stage)) = Stage::ALL.iter().find(|(n, _)| *n == name) else {
        let names: Vec<&str> = Stage::ALL.iter().map(|(n, _)| *n).collect();
        let diag = match name {
            "" => bad("which stage?"),
            name => bad(format!("there is no stage `{name}`")),
        };
        session.wrong(diag.help(format!(
            "stages: {}; `:emit asm 2` shows the code of probe 2",
            names.join(", ")
        )));
        return;
    };
    let text = match what.parse::<u32>() {
        Ok(number) => match session.board.get(number) {
            Some(placed) => placed.text.clone(),
            None => {
                session
                    .wrong(bad(format!("there is no probe {number}")).help("`:probes` shows them"));
                return;
            }
        },
        Err(_) => what.to_string(),
    };
    if what.is_empty() {
        session.wrong(bad("of what?").help(format!(
            "`:emit {name} 2` shows probe 2, `:emit {name} ENTRY` an entry"
        )));
        return;
    }
    let name = "this entry";
    let script = match entry::sort(&text) {
        Entry::Statements => session.bench.borrow_mut().statements_script(name, &text),
        _ => session.bench.borrow_mut().script(name, &text),
    };
    let (text, diags) = session
        .bench
        .borrow_mut()
        .stage(*stage, &script, &Words::default());
    session.reporter.print(&script.sources, &diags);
    session.show(&text.unwrap_or_default());
}

/// The words of a command line; quotes keep blanks together.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn run_ready(session: &mut Session<'_>, rest: &str) {
    let mut words = words(rest).into_iter();
    let Some(name) = words.next() else {
        let rows: Vec<[String; 2]> = nettrace_stdlib::SCRIPTS
            .iter()
            .map(|script| [script.name.to_string(), script.purpose().to_string()])
            .collect();
        let text = look::table(&rows, &[]);
        session.show(&text);
        return;
    };
    match nettrace_stdlib::find(&name) {
        Some(ready) => {
            session.bench.borrow_mut().next();
            let script = session.bench.borrow_mut().script(ready.name, ready.text);
            let words: Vec<String> = words.collect();
            session.add_with_words(script, &words, ready.name);
        }
        None => {
            let diag = bad(format!("no script `{name}` comes with nettrace"));
            let near = similar::nearest(&name, nettrace_stdlib::SCRIPTS.iter().map(|s| s.name));
            session.wrong(match near.first() {
                Some(near) => diag.help(format!("did you mean `:run {near}`?")),
                None => diag.help("`:run` lists them; a file is run by `:load FILE`"),
            });
        }
    }
}

fn load(session: &mut Session<'_>, rest: &str) {
    let mut words = words(rest).into_iter();
    match words.next() {
        Some(path) => session.load(&path, &words.collect::<Vec<_>>()),
        None => session.wrong(bad("which file?").help("`:load FILE`")),
    }
}

fn set(session: &mut Session<'_>, rest: &str) {
    let mut words = rest.split_whitespace().filter(|word| *word != "=");
    match (words.next(), words.next()) {
        (None, _) => {
            let shown: String = session
                .bench
                .borrow()
                .config
                .iter()
                .map(|(name, value)| format!("{name} = {value}\n"))
                .collect();
            let names = nettrace_compiler::resolve::config_names().join(", ");
            session.show(&format!("{shown}options: {names}, stats\n"));
        }
        (Some("stats"), Some(value @ ("on" | "off"))) => {
            let on = value == "on";
            if let Some(Err(diag)) = session.ask(move |units| units.count_runs(on)) {
                session.wrong(diag);
            }
        }
        (Some("stats"), _) => session.wrong(bad("`stats` is `on` or `off`")),
        (Some(name), Some(value)) => session.set(name, value),
        (Some(name), None) => session.wrong(bad(format!("`{name}` needs a value"))),
    }
}

fn pause(session: &mut Session<'_>, rest: &str) {
    let Ok(seconds) = rest.trim_end_matches('s').trim().parse::<f64>() else {
        session.wrong(bad("how long?").help("`:wait 0.5` waits half a second"));
        return;
    };
    let until = Instant::now() + Duration::from_secs_f64(seconds.clamp(0.0, 86400.0));
    let before = session.signals.stops();
    while Instant::now() < until && session.signals.stops() == before {
        let left = until.saturating_duration_since(Instant::now());
        std::thread::sleep(left.min(Duration::from_millis(20)));
    }
    // What came in the meantime is printed before the next entry.
    session.ask(Units::settle_now);
}

fn quit(session: &mut Session<'_>, _: &str) {
    session.leaving = true;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(
            words("ct-delete host  10.0.0.1"),
            ["ct-delete", "host", "10.0.0.1"]
        );
        assert_eq!(
            words("x 'tcp port 80' \"a b\"c ''"),
            ["x", "tcp port 80", "a bc", ""]
        );
        assert_eq!(words("open 'quote"), ["open", "quote"]);
    }

    #[test]
    fn commands_are_found_by_unique_beginnings() {
        assert_eq!(find("q").map(|c| c.name), Ok("quit"));
        assert_eq!(find("stop").map(|c| c.name), Ok("stop"));
        let message = |name| find(name).map(|c| c.name).map_err(|d| d.message);
        assert_eq!(
            message("st"),
            Err("`:st` may be :stop or :start or :stats".to_string())
        );
        assert_eq!(
            message("zzz"),
            Err("there is no command `:zzz`".to_string())
        );
        assert!(find("").is_err());
    }
}
