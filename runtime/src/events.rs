//! What each event of a script does.
//!
//! In: one ring record after another. Out: calls of the [`Sink`], changes of maps through [`Live`], the script's exit code.
//! When records are read and when the run ends is decided in [`crate::run`].

use nettrace_compiler::artifact::{
    Action, Clock, Event, EventId, Field, MapId, Plan, ProgramId, event_number,
};
use nettrace_compiler::index::Id;
use nettrace_grammar::{Diagnostic, codes};

use crate::captures::Captures;
use crate::decode::{DecodeError, Value, decode_field, native};
use crate::held::Held;
use crate::live::Live;
use crate::output::value::{write_failure, write_value};
use crate::output::{Names, Sink, TextKind, clock, format};
use crate::table::{Table, alike};
use crate::wire;

/// Damaged records are told this often; there may be thousands.
const MAX_COMPLAINTS: u32 = 5;

/// Carries out events.
pub struct Dispatcher<'a> {
    plan: &'a Plan,
    /// Where output goes.
    pub sink: &'a mut dyn Sink,
    state: Box<State>,
}

/// What stays from one event to the next. Scripts that run side by side share it.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// What turns addresses into names; its labels are those of the script whose event it is.
    pub(crate) names: Names,
    /// The code of `exit()`.
    pub(crate) exit: Option<i32>,
    complaints: u32,
    text: Vec<u8>,
    held: Held,
    captures: Captures,
}

impl<'a> Dispatcher<'a> {
    /// Fails if the plan describes values that cannot be decoded.
    pub fn new(plan: &'a Plan, sink: &'a mut dyn Sink) -> Result<Dispatcher<'a>, Diagnostic> {
        wire::check(plan)?;
        let state = State {
            names: Names::new(plan),
            captures: Captures::create(plan)?,
            ..State::default()
        };
        Ok(Dispatcher::resume(plan, sink, Box::new(state)))
    }

    /// Goes on with the events of a plan that has been checked.
    pub(crate) fn resume(
        plan: &'a Plan,
        sink: &'a mut dyn Sink,
        state: Box<State>,
    ) -> Dispatcher<'a> {
        Dispatcher { plan, sink, state }
    }

    /// What [`Dispatcher::resume`] needs to go on.
    pub(crate) fn pause(self) -> Box<State> {
        self.state
    }

    /// Uses other symbols than the running kernel's.
    pub fn names_mut(&mut self) -> &mut Names {
        &mut self.state.names
    }

    /// The code of `exit()`, once the script has called it. Later events are not carried out.
    pub fn exit_code(&self) -> Option<i32> {
        self.state.exit
    }

    /// Forgets that `exit()` was called, so that the events of `end` are carried out; returns its code.
    pub(crate) fn take_exit(&mut self) -> Option<i32> {
        self.state.exit.take()
    }

    /// When a record's event happened, if it tells, nanoseconds of `CLOCK_BOOTTIME`. `start` is what `elapsed` counts from.
    pub(crate) fn time(&self, record: &[u8], start: impl FnOnce() -> u64) -> Option<u64> {
        time_of(self.plan, record, start)
    }

    /// Carries out one record.
    pub fn record(&mut self, record: &[u8], live: &mut dyn Live) {
        if self.state.exit.is_some() {
            return;
        }
        let plan = self.plan;
        match event_of(plan, record) {
            Ok(event) => {
                if let Err(error) = self.act(event, record, live) {
                    self.complain(&format!("event of {} bytes: {error}", record.len()));
                }
            }
            Err(what) => self.complain(&what),
        }
        if let Some(problem) = self.state.names.kernel.take_problem() {
            self.sink.problem(&problem);
        }
    }

    fn act(
        &mut self,
        event: &'a Event,
        record: &[u8],
        live: &mut dyn Live,
    ) -> Result<(), DecodeError> {
        match &event.action {
            Action::Printf { format } => {
                let State {
                    text, names, held, ..
                } = &mut *self.state;
                text.clear();
                format::write_printf(text, format, &event.fields, record, names);
                match group_of(event, record) {
                    None => self.sink.text(TextKind::Printf, text),
                    Some(group) => {
                        let early = held.hold(group, text);
                        self.print_held(&early);
                    }
                }
            }
            Action::PrintValue => {
                let value = first(&event.fields, record);
                self.sink.value(&value, &mut self.state.names);
            }
            Action::PrintMap { map, top, div } => self.print_map(*map, *top, *div, live),
            Action::Clear { map } => self.told(live.clear(*map)),
            Action::Zero { map } => self.told(live.zero(*map)),
            Action::Time { format } => {
                let text = &mut self.state.text;
                text.clear();
                clock::write_now(text, format);
                self.sink.text(TextKind::Time, text);
            }
            Action::Join { separator } => self.join(&event.fields, record, separator)?,
            Action::Release => {
                let group = first(&event.fields, record)?.bits().unwrap_or(0);
                let texts = self.state.held.release(group);
                self.print_held(&texts);
            }
            Action::Packet { file } => {
                let State {
                    captures, names, ..
                } = &mut *self.state;
                let written = captures.packet(file, &event.fields, record, names)?;
                self.told(written);
            }
            Action::Exit => {
                let code = first(&event.fields, record)?.bits().unwrap_or(0);
                self.state.exit = Some((code & 0xff) as i32);
            }
        }
        Ok(())
    }

    fn print_held(&mut self, texts: &[Vec<u8>]) {
        for text in texts {
            self.sink.text(TextKind::Printf, text);
        }
    }

    /// Prints what was held back and completes the files of packets.
    pub(crate) fn let_go(&mut self) {
        let texts = self.state.held.release_all();
        self.print_held(&texts);
        for problem in self.state.captures.flush() {
            self.sink.problem(&problem);
        }
    }

    /// The first field counts the strings that follow.
    fn join(
        &mut self,
        fields: &[Field],
        record: &[u8],
        separator: &str,
    ) -> Result<(), DecodeError> {
        let count = first(fields, record)?.bits().unwrap_or(0);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let State { text, names, .. } = &mut *self.state;
        text.clear();
        for (i, field) in fields.iter().skip(1).take(count).enumerate() {
            if i > 0 {
                text.extend_from_slice(separator.as_bytes());
            }
            match decode_field(field, record) {
                Ok(value) => write_value(text, &value, names),
                Err(error) => write_failure(text, error),
            }
        }
        self.sink.text(TextKind::Join, text);
        Ok(())
    }

    /// Prints a map of the script.
    pub(crate) fn print_map(&mut self, id: MapId, top: u32, div: u32, live: &mut dyn Live) {
        let plan = self.plan;
        let Some(map) = plan.maps.get(id) else {
            return;
        };
        let Some(script) = &map.script else {
            return;
        };
        match live.entries(id) {
            Ok(entries) => {
                let entries = alike::put_together(map, script, entries, &mut self.state.names);
                let table = Table::new(map, script, &entries, top, div);
                self.sink.map(&table, &mut self.state.names);
            }
            Err(problem) => self.sink.problem(&problem),
        }
    }

    /// Tells what went wrong, if anything did.
    pub(crate) fn told(&mut self, result: Result<(), Diagnostic>) {
        if let Err(problem) = result {
            self.sink.problem(&problem);
        }
    }

    fn complain(&mut self, what: &str) {
        self.state.complaints += 1;
        if self.state.complaints <= MAX_COMPLAINTS {
            let bug = Diagnostic::host(codes::INTERNAL, format!("cannot read an event: {what}"))
                .note("this is a bug of nettrace, or the object file is damaged");
            self.sink.problem(&bug);
        }
    }
}

/// When a record's event happened, if it tells.
pub(crate) fn time_of(plan: &Plan, record: &[u8], start: impl FnOnce() -> u64) -> Option<u64> {
    let time = event_of(plan, record).ok()?.time?;
    let told = native(record.get(time.offset as usize..)?).ok()?;
    match time.clock {
        Clock::Boot => Some(told),
        Clock::Elapsed => told.checked_add(start()),
    }
}

/// The number of the entry whose event a record is; see [`event_number`].
pub(crate) fn entry_of(record: &[u8]) -> Option<u32> {
    let number = native(record).ok()?;
    u32::try_from(number >> 32).ok()
}

/// The program that sent a record.
pub(crate) fn sender(plan: &Plan, record: &[u8]) -> Option<ProgramId> {
    event_of(plan, record).ok().map(|event| event.program)
}

fn event_of<'p>(plan: &'p Plan, record: &[u8]) -> Result<&'p Event, String> {
    let have = record.len();
    let id = native(record).map_err(|_| format!("a record of {have} bytes has no event id"))?;
    let own = id.checked_sub(event_number(plan.entry, EventId(0)));
    let index = own.and_then(|own| usize::try_from(own).ok());
    let index = index.filter(|i| *i < plan.events.len());
    let event = index
        .and_then(|index| plan.events.get(EventId::new(index)))
        .ok_or_else(|| format!("there is no event {id}"))?;
    if have < event.size as usize {
        return Err(format!(
            "event e{id} has {have} bytes instead of {}",
            event.size
        ));
    }
    Ok(event)
}

/// The group that an event is printed with.
fn group_of(event: &Event, record: &[u8]) -> Option<u64> {
    native(record.get(event.group? as usize..)?).ok()
}

fn first<'r>(fields: &'r [Field], record: &'r [u8]) -> Result<Value<'r>, DecodeError> {
    match fields.first() {
        Some(field) => decode_field(field, record),
        None => Err(DecodeError::Short { need: 1, have: 0 }),
    }
}

#[cfg(test)]
mod tests {
    use nettrace_compiler::artifact::{Layout, MapKind, Stored};

    use super::*;
    use crate::testing::{
        FakeLive, I64, U64, event, format, padded, plan, printed, program, script_map, sink,
        with_symbols, words,
    };

    /// Carries out the records; returns results, messages, what happened to maps, the exit code.
    fn play(
        plan: &Plan,
        live: &mut FakeLive,
        records: &[Vec<u8>],
    ) -> (String, String, Option<i32>) {
        let mut sink = sink();
        let mut events = Dispatcher::new(plan, &mut sink).expect("a good plan");
        events.state.names = with_symbols(Names::new(plan));
        for record in records {
            events.record(record, live);
        }
        let exit = events.exit_code();
        let (output, messages) = printed(sink);
        (output, messages, exit)
    }

    #[test]
    fn printf_and_print() {
        let mut plan = plan(vec![program("p", &["begin"])]);
        let mark = Action::Printf {
            format: format("mark=%d from %s\n"),
        };
        let e0 = event(&mut plan, mark, &[I64, Layout::KSym]);
        let e1 = event(
            &mut plan,
            Action::PrintValue,
            &[crate::testing::tuple(&[U64, U64])],
        );
        let records = [
            words(&[e0, 5, 0xffffffff81000100]),
            words(&[e1, 1, 2]),
            words(&[e0, u64::MAX, 0]),
        ];
        let (output, messages, exit) = play(&plan, &mut FakeLive::default(), &records);
        assert_eq!(output, "mark=5 from ip_output\n(1, 2)\nmark=-1 from 0x0\n");
        assert_eq!((messages.as_str(), exit), ("", None));
    }

    #[test]
    fn maps_are_printed_cleared_and_zeroed() {
        let mut plan = plan(vec![program("p", &["begin"])]);
        let map = plan.maps.push(script_map(
            "@hits",
            MapKind::Hash,
            Some(U64),
            Stored::Plain(U64),
        ));
        let print = event(
            &mut plan,
            Action::PrintMap {
                map,
                top: 1,
                div: 10,
            },
            &[],
        );
        let clear = event(&mut plan, Action::Clear { map }, &[]);
        let zero = event(&mut plan, Action::Zero { map }, &[]);
        let mut live = FakeLive::default();
        live.fill(
            1,
            &[(&words(&[1]), &words(&[50])), (&words(&[2]), &words(&[70]))],
        );
        let records = [words(&[print]), words(&[clear]), words(&[zero])];
        let (output, messages, _) = play(&plan, &mut live, &records);
        assert_eq!(output, "@hits[2]: 7\n");
        assert_eq!(messages, "");
        assert_eq!(live.log, ["clear m1", "zero m1"]);
    }

    #[test]
    fn join_prints_as_many_strings_as_were_sent() {
        let mut plan = plan(vec![program("p", &["begin"])]);
        let text = Layout::Str { cap: 8 };
        let join = Action::Join {
            separator: ", ".to_string(),
        };
        let e0 = event(&mut plan, join, &[U64, text.clone(), text.clone(), text]);
        let record = |count: u64| {
            let mut bytes = words(&[e0, count]);
            ["curl", "-s", "x"]
                .iter()
                .for_each(|s| bytes.extend(padded(s, 8)));
            bytes
        };
        let records = [record(0), record(2), record(3), record(u64::MAX)];
        let (output, _, _) = play(&plan, &mut FakeLive::default(), &records);
        assert_eq!(output, "\ncurl, -s\ncurl, -s, x\ncurl, -s, x\n");
    }

    #[test]
    fn nothing_happens_after_exit() {
        let mut plan = plan(vec![program("p", &["begin"])]);
        let exit = event(&mut plan, Action::Exit, &[I64]);
        let say = event(
            &mut plan,
            Action::Printf {
                format: format("hello %d\n"),
            },
            &[I64],
        );
        let records = [
            words(&[say, 1]),
            words(&[exit, 0x103]),
            words(&[say, 2]),
            words(&[exit, 9]),
        ];
        let (output, _, code) = play(&plan, &mut FakeLive::default(), &records);
        assert_eq!(output, "hello 1\n");
        assert_eq!(code, Some(3), "the low 8 bits");
    }

    #[test]
    fn damaged_records_are_told_and_the_rest_goes_on() {
        let mut plan = plan(vec![program("p", &["begin"])]);
        let e0 = event(
            &mut plan,
            Action::Printf {
                format: format("%d\n"),
            },
            &[I64],
        );
        let records = [
            vec![1, 2, 3],
            words(&[77, 1]),
            words(&[e0]),
            words(&[e0, 4]),
        ];
        let (output, messages, _) = play(&plan, &mut FakeLive::default(), &records);
        assert_eq!(output, "4\n");
        for expected in [
            "error[NT9001]: cannot read an event: a record of 3 bytes has no event id\n",
            "error[NT9001]: cannot read an event: there is no event 77\n",
            "error[NT9001]: cannot read an event: event e0 has 8 bytes instead of 16\n",
        ] {
            assert!(messages.contains(expected), "{messages}");
        }
        let many = vec![vec![0]; 1000];
        let (_, messages, _) = play(&plan, &mut FakeLive::default(), &many);
        assert_eq!(messages.matches("NT9001").count(), 5);
    }

    #[test]
    fn time_is_printed_as_strftime_has_it() {
        let mut plan = plan(vec![program("p", &["begin"])]);
        let time = |format: &str| Action::Time {
            format: format.to_string(),
        };
        let percent = event(&mut plan, time("100%% "), &[]);
        let empty = event(&mut plan, time(""), &[]);
        let year = event(&mut plan, time("%Y\n"), &[]);
        let records = [words(&[percent]), words(&[empty]), words(&[year])];
        let (output, _, _) = play(&plan, &mut FakeLive::default(), &records);
        let year = output.strip_prefix("100% ").expect("the first format");
        let year: u32 = year.trim_end().parse().expect("a year");
        assert!(year >= 2026, "{year}");
    }
}
