//! Runs from the first record to the exit code, with records from a list and maps in memory.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use nettrace_compiler::artifact::{Action, Clock, EventId, EventTime, MapKind, Stored};
use nix::sys::signal::{Signal, raise};

use super::*;
use crate::output::stream::Stream;
use crate::output::text::TextSink;
use crate::output::writer::Writer;
use crate::testing::{
    FakeLive, I64, ListRing, U64, control, event, format, plan, printed, program, script_map, sink,
    words,
};

/// A plan with one probe, a map `@n` (m1), and the events `say` (e0) and `exit` (e1).
fn small(attach: Attach) -> Plan {
    let mut plan = plan(vec![program("p", &["some:probe"])]);
    for target in plan
        .programs
        .iter_mut()
        .flat_map(|program| &mut program.targets)
    {
        target.attach = attach.clone();
    }
    plan.maps
        .push(script_map("@n", MapKind::Array, None, Stored::Plain(U64)));
    event(
        &mut plan,
        Action::Printf {
            format: format("say %d\n"),
        },
        &[I64],
    );
    event(&mut plan, Action::Exit, &[I64]);
    plan
}

fn say(number: u64) -> Vec<u8> {
    words(&[0, number])
}

fn exit(code: u64) -> Vec<u8> {
    words(&[1, code])
}

fn kprobe() -> Attach {
    Attach::Kprobe {
        symbol: "nf_ct_delete".to_string(),
        module: None,
        offset: 0,
    }
}

fn live() -> FakeLive {
    let mut live = FakeLive::default();
    live.fill(1, &[(&[0; 4], &words(&[42]))]);
    live
}

/// Results, messages, exit code.
fn play(plan: &Plan, live: &mut FakeLive, records: Vec<Vec<u8>>) -> (String, String, i32) {
    let signals = Signals::block().expect("signals");
    let mut sink = sink();
    let ring = live.ring.clone();
    ring.send(records);
    let session = Session::new(plan, Some(Box::new(ring)), &mut sink).expect("a good plan");
    let code = session.run(live, &signals);
    let (output, messages) = printed(sink);
    (output, messages, code)
}

#[test]
fn begin_and_end_alone_finish_by_themselves() {
    let mut live = live();
    live.on_end.push(say(9));
    let (output, messages, code) = play(&small(Attach::Begin), &mut live, vec![say(1)]);
    assert_eq!(output, "say 1\nsay 9\n\n\n@n: 42\n");
    assert_eq!((messages.as_str(), code), ("", 0));
    assert_eq!(live.log, ["silence", "end", "detach"]);
}

#[test]
fn after_exit_only_end_is_heard() {
    let mut live = live();
    live.on_end.extend([say(9), exit(5)]);
    let records = vec![say(1), exit(3), say(2)];
    let (output, _, code) = play(&small(kprobe()), &mut live, records);
    assert_eq!(output, "say 1\nsay 9\n\n\n@n: 42\n");
    assert_eq!(code, 3);
}

#[test]
fn maps_may_stay_unprinted() {
    let mut plan = small(kprobe());
    plan.settings.print_maps_on_exit = false;
    let (output, _, _) = play(&plan, &mut live(), vec![exit(0)]);
    assert_eq!(output, "\n\n");
}

#[test]
fn intervals_run_until_the_script_exits() {
    let mut live = live();
    live.on_fire.extend([say(1), say(2), exit(0)]);
    let plan = small(Attach::Interval { period: 1_000_000 });
    let (output, _, code) = play(&plan, &mut live, Vec::new());
    assert_eq!(output, "say 1\nsay 2\n\n\n@n: 42\n");
    assert_eq!(code, 0);
    // A late timer may have made up for more than these.
    assert!(
        live.log
            .iter()
            .filter(|line| *line == "fire p0 some:probe")
            .count()
            >= 3
    );
}

#[test]
fn a_signal_ends_the_run_in_good_order() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let _blocked = Signals::block().expect("signals");
        raise(signal).expect("a signal");
        let mut live = live();
        let (output, _, code) = play(&small(kprobe()), &mut live, vec![say(1)]);
        assert_eq!(output, "say 1\n\n\n@n: 42\n");
        assert_eq!(code, 0);
        assert_eq!(live.log, ["silence", "end", "detach"]);
    }
}

#[test]
fn a_second_signal_leaves_out_the_maps() {
    let _blocked = Signals::block().expect("signals");
    // Two of one kind would be merged.
    raise(Signal::SIGINT).expect("a signal");
    raise(Signal::SIGTERM).expect("a signal");
    let mut live = live();
    let (output, _, code) = play(&small(kprobe()), &mut live, vec![say(1), say(2)]);
    assert_eq!(output, "say 1\nsay 2\n");
    assert_eq!(code, 0);
    assert_eq!(live.log, ["silence", "end", "detach"]);
}

/// One event tells nanoseconds since boot, another one those since the start; both go into one order, and what tells no time stays
/// behind what came before it.
#[test]
fn events_are_printed_in_the_order_of_their_times() {
    let mut plan = small(kprobe());
    let mut timed = |text: &str, clock| {
        let action = Action::Printf {
            format: format(text),
        };
        let id = event(&mut plan, action, &[I64, U64]);
        plan.events[EventId(id as u32)].time = Some(EventTime { offset: 16, clock });
        id
    };
    let boot = timed("boot %d\n", Clock::Boot);
    let elapsed = timed("elapsed %d\n", Clock::Elapsed);
    let start = now() - 1_000_000_000;
    let mut control = control(&[0]);
    let at = CONTROL_START as usize;
    control[at..at + 8].copy_from_slice(&start.to_ne_bytes());
    let mut live = live();
    live.fill(0, &[(&[0; 4], &control)]);

    let records = vec![
        words(&[boot, 1, start + 100]),
        words(&[boot, 3, start + 300]),
        words(&[elapsed, 2, 200]),
        say(7),
        words(&[boot, 0, start + 50]),
        exit(0),
    ];
    for event in plan.events.iter_mut() {
        // The time itself is not printed.
        event.fields.truncate(1);
    }
    let (output, messages, _) = play(&plan, &mut live, records);
    assert_eq!(messages, "");
    assert_eq!(
        output,
        "boot 0\nboot 1\nelapsed 2\nboot 3\nsay 7\n\n\n@n: 42\n"
    );
}

#[test]
fn losses_are_told_at_the_end() {
    let mut live = live();
    live.fill(0, &[(&[0; 4], &control(&[7]))]);
    let (output, messages, code) = play(&small(kprobe()), &mut live, vec![exit(0)]);
    assert_eq!(output, "\n\n@n: 42\n");
    assert_eq!(
        messages,
        "Lost 7 events (some:probe)\n\
         WARNING: Total lost event count: 7\n    some:probe: 7\n"
    );
    assert_eq!(code, 0);
}

fn pipe() -> (std::fs::File, OwnedFd) {
    let (read, write) = nix::unistd::pipe().expect("a pipe");
    (read.into(), write)
}

#[test]
fn a_reader_that_goes_away_ends_the_run_quietly() {
    let (reader, writer) = pipe();
    drop(reader);
    let signals = Rc::new(Signals::block().expect("signals"));
    let mut sink = TextSink::new(Writer::new(
        Stream::new(writer, Some(signals.clone())),
        Vec::new(),
    ));
    let plan = small(kprobe());
    let mut live = live();
    // No record, nothing to write: the hang-up itself wakes the loop.
    let session = Session::new(&plan, None, &mut sink).expect("a good plan");
    assert_eq!(session.run(&mut live, &signals), 0);
    assert_eq!(live.log, ["silence", "end", "detach"]);
    let (_, messages) = sink.into_parts();
    assert_eq!(String::from_utf8_lossy(&messages), "");
}

#[test]
fn output_reaches_a_slow_reader_complete() {
    let (mut reader, writer) = pipe();
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    });
    let signals = Rc::new(Signals::block().expect("signals"));
    let mut sink = TextSink::new(Writer::new(
        Stream::new(writer, Some(signals.clone())),
        Vec::new(),
    ));
    let plan = small(kprobe());
    let ring = ListRing::default();
    ring.send((0..50_000).map(say));
    ring.send([exit(0)]);
    let session = Session::new(&plan, Some(Box::new(ring)), &mut sink).expect("a good plan");
    assert_eq!(session.run(&mut live(), &signals), 0);
    drop(sink);
    let text = reading.join().expect("the reader").expect("text");
    assert_eq!(
        text.lines().filter(|line| line.starts_with("say ")).count(),
        50_000
    );
    assert!(text.ends_with("say 49999\n\n\n@n: 42\n"));
}

#[test]
fn two_signals_free_a_writer_whose_reader_sleeps() {
    let (_reader, writer) = pipe();
    let signals = Rc::new(Signals::block().expect("signals"));
    raise(Signal::SIGINT).expect("a signal");
    raise(Signal::SIGTERM).expect("a signal");
    let mut stream = Stream::new(writer, Some(signals));
    let error = std::io::Write::write_all(&mut stream, &[b'x'; 1 << 20]).expect_err("no room");
    assert_eq!(error.to_string(), "interrupted twice");
}
