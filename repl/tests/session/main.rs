//! The session as a person sees it: keys go in, and the screen is read.
//!
//! Attaching needs root and uses only what kernels without kprobes have; the rest works for everybody.

mod screen;
mod scripted;

use screen::{Screen, described, may_trace};

#[test]
fn a_session_begins_and_ends() {
    let screen = Screen::start("");
    let text = screen.wait_for("nt>");
    assert!(text.contains(":help shows what can be typed"), "{text}");
    screen.enter(":type struct list_head");
    screen.wait_for("struct list_head {");
    screen.press("C-d");
    screen.wait_for("[ended 0]");
}

#[test]
fn fields_are_completed_by_the_type_before_them() {
    let screen = Screen::start(&described("7.2", "nf_tables"));
    // A struct that only the module describes, behind a variable.
    screen.types("$p = (struct nft_pktinfo *)0; $p->sk");
    screen.press("Tab");
    screen.wait_for("$p->skb");
    screen.press("C-u");
    // Several: they are listed with their types.
    screen.types("((struct nf_conn *)0)->t");
    screen.press("Tab");
    screen.press("Tab");
    let text = screen.wait_for("tuplehash");
    assert!(text.contains("u32 timeout"), "{text}");
    screen.press("C-u");
    screen.types("sizeof(struct nf_conntrack_tuple_h");
    screen.press("Tab");
    screen.wait_for("struct nf_conntrack_tuple_hash");
}

#[test]
fn functions_commands_and_files_are_completed() {
    let screen = Screen::start("");
    screen.types("nsec");
    screen.press("Tab");
    screen.wait_for("nt> nsecs");
    screen.press("C-u");
    screen.types(":pr");
    screen.press("Tab");
    screen.wait_for("nt> :probes");
    screen.press("C-u");
    screen.types(":run ct-inv");
    screen.press("Tab");
    screen.wait_for("nt> :run ct-invalid");
    screen.press("C-u");
    screen.types("rawtracepoint:netif_receive_skb_list_ent");
    screen.press("Tab");
    screen.wait_for("netif_receive_skb_list_entry");
    screen.press("C-u");
    // A macro of the library, with its parameters.
    screen.types("ctst");
    screen.press("Tab");
    screen.press("Tab");
    screen.wait_for("macro ctstatus(");
    screen.press("C-u");
    screen.types(":load /etc/os-rel");
    screen.press("Tab");
    screen.wait_for("nt> :load /etc/os-release");
    screen.press("C-u");
    screen.enter("@packets = 5");
    screen.types("print(@pa");
    screen.press("Tab");
    if may_trace() {
        screen.wait_for("print(@packets");
    }
}

#[test]
fn events_come_above_the_line_that_is_typed() {
    if !may_trace() {
        return;
    }
    let screen = Screen::start("");
    screen.enter("interval:ms:50 { printf(\"tick %d\\n\", 40 + 2); }");
    screen.wait_for("tick 42");
    for piece in ["print(", "1000 ", "+ ", "234", ")"] {
        screen.types(piece);
        std::thread::sleep(std::time::Duration::from_millis(120));
    }
    let text = screen.wait_until("whole line", |text| text.ends_with("nt> print(1000 + 234)"));
    assert!(text.matches("tick 42").count() > 3, "{text}");
    screen.press("Enter");
    screen.wait_for("\n1234\n");
    screen.enter(":stop 1");
    screen.enter(":probes");
    screen.wait_for("1: interval:ms:50  (stopped)");
    screen.leave();
}

#[test]
fn a_mistake_is_shown_and_the_session_goes_on() {
    let screen = Screen::start("");
    screen.enter("1 + foo");
    let text = screen.wait_for("the name `foo` means nothing here");
    assert!(text.contains("1 | 1 + foo"), "{text}");
    assert!(text.contains("|     ^^^"), "{text}");
    screen.enter(":nonsense");
    screen.wait_for("there is no command `:nonsense`");
    screen.enter(":help kstack");
    screen.wait_for("kstack");
}

#[test]
fn an_entry_over_several_lines() {
    let screen = Screen::start("");
    screen.enter("macro twice(x) {");
    screen.enter("  x * 2");
    screen.enter("}");
    screen.wait_for("defined macro twice");
    screen.enter("}");
    screen.wait_for("closes nothing");
}

#[test]
fn history_outlives_a_session() {
    let screen = Screen::start("");
    screen.enter(":type struct list_head");
    screen.wait_for("struct list_head {");
    screen.enter(":help printf");
    screen.wait_for("void printf");
    let state = screen.leave();
    let again = Screen::start_in(state, "", "");
    again.press("Up");
    again.wait_for("nt> :help printf");
    again.press("C-u");
    again.press("C-r");
    again.types("list_h");
    again.wait_for(":type struct list_head");
    again.press("C-g");
    // The rest of the latest entry that begins so is hinted at; the right arrow takes it.
    again.press("C-u");
    again.types(":ty");
    again.wait_for("nt> :type struct list_head");
    again.press("Right");
    again.press("Enter");
    again.wait_for("struct list_head {");
}

#[test]
fn control_c_clears_the_line() {
    let screen = Screen::start("");
    screen.types("not finished (");
    screen.wait_for("not finished (");
    screen.press("C-c");
    screen.wait_until("empty prompt", |text| text.ends_with("nt>"));
    screen.enter(":help pid");
    screen.wait_for("uint32 pid");
}

#[test]
fn control_c_ends_what_is_carried_out_and_not_the_session() {
    let screen = Screen::start("");
    screen.enter(":wait 600");
    screen.wait_for("nt> :wait 600");
    // A key that comes before the wait has begun is lost.
    screen.wait_until("prompt", |text| {
        let back = text.ends_with("nt>");
        if !back {
            screen.press("C-c");
        }
        back
    });
    screen.enter(":help pid");
    screen.wait_for("uint32 pid");
    screen.leave();
}

#[test]
fn what_is_printed_cannot_move_the_cursor() {
    if !may_trace() {
        return;
    }
    let screen = Screen::start("");
    screen.enter(r#"printf("%s|\x1b[2J|\r\n", "still here")"#);
    let text = screen.wait_for(r"still here|\x1b[2J|\x0d");
    assert!(text.contains("nt> printf("), "{text}");
}

#[test]
fn help_is_broken_between_words() {
    let screen = Screen::start("");
    screen.resize(80, 50);
    screen.enter(":help");
    let text = screen.wait_for(":quit  ");
    assert!(
        text.contains("Attaches a probe, which gets a number and runs while you\n"),
        "{text}"
    );
}

#[test]
fn a_line_is_whole_after_the_window_has_changed() {
    let screen = Screen::start("");
    let long = "1111111111 + 2222222222 + 3333333333 + 4444444444 + 5555555555 + 66666666 + 777777";
    screen.types(long);
    screen.wait_for("777777");
    screen.resize(120, 30);
    screen.types(" ");
    screen.wait_until("one line", |text| text.contains(&format!("nt> {long}")));
    screen.resize(80, 24);
    screen.press("C-c");
    screen.wait_until("empty prompt", |text| text.ends_with("nt>"));
    screen.enter(":help nsecs");
    screen.wait_for("nsecs");
}

#[test]
fn nothing_is_wider_than_eighty_columns() {
    let screen = Screen::start("");
    screen.types("((struct sk_buff *)0)->");
    screen.press("Tab");
    screen.press("Tab");
    screen.wait_until("question or list", |text| {
        text.contains("possibilities") || text.contains("--More--")
    });
    for line in screen.text().lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn colours_unless_they_are_unwanted() {
    let screen = Screen::start("");
    screen.types("if (1) { @x = 5 }");
    screen.wait_for("@x = 5 }");
    assert!(screen.painted().contains("\u{1b}["), "{}", screen.painted());
    let plain = Screen::start_in(tempfile::tempdir().expect("a directory"), "", "NO_COLOR=1");
    plain.types("if (1) { @x = 5 }");
    plain.wait_for("@x = 5 }");
    let painted = plain.painted();
    assert!(!painted.contains("\u{1b}[3"), "{painted:?}");
    assert_eq!(plain.last_line(), "nt> if (1) { @x = 5 }");
}

#[test]
fn a_probe_is_edited_in_the_line() {
    if !may_trace() {
        return;
    }
    let screen = Screen::start("");
    screen.enter("interval:s:600 { @a = count(); }");
    screen.wait_for("1: interval:s:600");
    screen.enter(":edit 1");
    screen.wait_for("nt> :edit 1 interval:s:600 { @a = count(); }");
    for _ in 0..2 {
        screen.press("BSpace");
    }
    screen.enter(" printf(\"edited\\n\"); }");
    screen.wait_until("new probe", |text| {
        text.matches("1: interval:s:600").count() == 2
    });
    screen.enter(":probes");
    screen.wait_until("one probe", |text| {
        text.matches("1: interval:s:600").count() == 3
    });
    assert!(!screen.text().contains("2: "), "{}", screen.text());
}
