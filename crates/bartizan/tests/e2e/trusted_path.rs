//! Can a person answer at the terminal of the run, and nobody else: no program of the box, no key that was typed for it?

use crate::approvals::{POST, approvals, asking, ended_unanswered, question};
use crate::support::log::Log;
use crate::support::project::Project;
use crate::support::terminal::Terminal;
use crate::support::tmux::Tmux;
use serde_json::json;

/// `bartizan run` of a shell script on a terminal.
pub(crate) fn run(project: &Project, options: &[&str], script: &str) -> Terminal {
    let mut command = vec!["run"];
    command.extend(options);
    command.extend(["--", "bash", "-c", script]);
    Terminal::start(project.bartizan(&command))
}

/// The code that the newest panel shows.
pub(crate) fn code(terminal: &Terminal) -> String {
    terminal.tells("yes, once: ");
    let news = terminal.news();
    let (_, after) = news.rsplit_once("yes, once: ").unwrap();
    after.chars().take(4).collect()
}

/// What was drawn since Bartizan last took the screen.
fn panel(terminal: &Terminal) -> String {
    terminal.shown().rsplit_once("\x1b[?1049h").unwrap().1.to_owned()
}

#[test]
fn a_held_call_goes_on_with_a_yes_and_hears_the_reason_of_a_no() {
    let (project, sink, [one, _]) = asking();
    let script = format!(
        "{POST}\necho before; post {one} && echo through; echo second\n\
         echo \"heard: $(curl -sS -m 120 --noproxy '' -x \"$http_proxy\" http://{one}/)\"; echo done"
    );
    let mut terminal = run(&project, &[], &script);
    terminal.tells("under the mark [");
    let code_of_one = code(&terminal);
    let shown = panel(&terminal);
    let told = terminal.shown();
    let mark = told.split_once("under the mark [").unwrap().1.split(']').next().unwrap();
    for part in
        [&*format!("Bartizan asks [{mark}]"), "net.connect", "default", "asked by", "127.0.0.1"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(sink.arrived(), Vec::<String>::new(), "nothing leaves before the answer");
    // A window of another size shows all of it anew, and the code stays.
    terminal.looks_away();
    terminal.resize(30, 90);
    assert_eq!(code(&terminal), code_of_one);
    terminal.types(&format!("{code_of_one}\r"));
    terminal.tells("through");
    terminal.tells("\x1b[?1049l");
    terminal.looks_away();
    code(&terminal);
    terminal.types("no not today\r");
    terminal.tells("heard: ");
    terminal.tells("done");
    let heard = terminal.news().rsplit_once("heard: ").unwrap().1.to_owned();
    assert!(heard.contains("not today"), "{heard}");
    terminal.ends();
    assert_eq!(sink.arrived().len(), 1);
    let log = Log::read(&project);
    let call = log.find("call", |record| record["tool"] == "net.connect");
    assert_eq!(call["verdict"], "approved");
    assert!(call["approvers"][0].as_str().unwrap().starts_with("local:"), "{call}");
    log.is_whole(&project);
}

#[test]
fn no_key_typed_ahead_answers_and_no_flood_hides_the_question() {
    let (project, sink, [one, _]) = asking();
    // Terminal modes that would hide, garble or answer: none of them is left when the question is drawn.
    let modes = r"\033[?1003h\033[?1006h\033[2h\033(0\033[8m\033[30;40m\033]11;black\007\033]0;no\007\033[?25l\033[>1u\033[21t\033[6n";
    let script = format!(
        "{POST}\nprintf '{modes}'\n\
         (while :; do printf '%0500d FLOOD\\n' 0; sleep 0.002; done) & flood=$!\n\
         read -r line; post {one} && went=through; kill $flood; echo $went; echo done; printf '\\033[3'"
    );
    let mut terminal = run(&project, &[], &script);
    terminal.tells("FLOOD");
    terminal.types_until("no\rquiet\r\x1b", "Bartizan asks [");
    let code = code(&terminal);
    let drawn = panel(&terminal);
    assert!(!drawn.contains("FLOOD"), "{drawn}");
    for plain in ["\x1b(B", "\x1b[?1003l", "\x1b[=0;1u", "\x1b]111\x1b\\", "\x1b[0m"] {
        assert!(drawn.contains(plain), "{plain:?}: {drawn}");
    }
    let id = question(&project);
    assert!(!id.is_empty(), "it still waits");
    terminal.looks_away();
    terminal.types(&format!("{code}\r"));
    terminal.tells("FLOOD");
    terminal.tells("through");
    let news = terminal.news();
    assert!(news.contains("\x1b[?1003h") && news.contains("\x1b[30;40m"), "its modes are back");
    terminal.ends();
    assert_eq!(sink.arrived().len(), 1);
}

#[test]
fn a_panel_that_the_agent_draws_takes_no_answer() {
    let (project, sink, [one, _]) = asking();
    let script = format!(
        "{POST}\nprintf '\\033[2J\\033[H Bartizan asks [no-mark!]\\n yes, once: aeae Enter\\n> '\n\
         read -r line; echo \"agent-got: $line\"\n\
         post {one} || echo refused; echo done"
    );
    let mut terminal = run(&project, &[], &script);
    terminal.tells("aeae Enter");
    terminal.types("aeae\r");
    terminal.tells("agent-got: aeae");
    terminal.looks_away();
    assert_ne!(code(&terminal), "aeae");
    assert!(!panel(&terminal).contains("no-mark!"), "a mark that it never saw");
    terminal.types("aeae\r");
    terminal.tells("none of what is offered");
    assert_eq!(sink.arrived(), Vec::<String>::new());
    terminal.types("\x1b");
    terminal.tells("refused");
    terminal.tells("done");
    terminal.ends();
    assert_eq!(sink.arrived(), Vec::<String>::new());
    ended_unanswered(&project);
}

#[test]
fn what_is_answered_elsewhere_leaves_the_screen() {
    let (project, sink, [one, _]) = asking();
    let script = format!("{POST}\npost {one} && echo through; echo done");
    let terminal = run(&project, &[], &script);
    code(&terminal);
    let approved = approvals(&project, &["approve", &question(&project), "--yes"]);
    assert_eq!(approved.status.code(), Some(0), "{approved:?}");
    terminal.tells("through");
    assert!(!panel(&terminal).rsplit_once("\x1b[?1049l").unwrap().1.contains("Bartizan asks"));
    terminal.ends();
    assert_eq!(sink.arrived().len(), 1);
}

#[test]
fn whoever_wants_no_questions_here_gets_none() {
    let (project, sink, targets) = asking();
    let script = |target: &str| format!("{POST}\npost {target} || echo refused; echo done");
    let terminal = run(&project, &["--no-tty-approvals"], &script(&targets[0]));
    terminal.tells("refused");
    assert!(!terminal.shown().contains("Bartizan asks") && !terminal.shown().contains("mark ["));
    terminal.ends();
    let both = format!("{}; post {} || echo again", script(&targets[0]), targets[1]);
    let mut terminal = run(&project, &[], &both);
    code(&terminal);
    terminal.types("quiet\r");
    terminal.tells("again");
    assert_eq!(terminal.shown().matches("\x1b[?1049h").count(), 1, "{}", terminal.shown());
    terminal.ends();
    assert_eq!(sink.arrived(), Vec::<String>::new());
}

#[test]
fn what_a_hook_asks_is_put_there_whole_and_harmless() {
    let project = Project::new();
    project.configure("[roles.default]\nask = [\"Bash\"]\n");
    let bad =
        format!("echo {}\u{1b}[2J\u{202e}; curl https://p\u{430}ypal.com/END", "x".repeat(6000));
    let hook = json!({ "hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": { "command": bad } });
    project.write("call.json", &hook.to_string());
    let bartizan = env!("CARGO_BIN_EXE_bartizan");
    let script = format!(
        "{bartizan} hook claude-code < call.json; echo asked; read -r line\n\
                          {bartizan} hook claude-code < call.json; echo done"
    );
    let mut terminal = run(&project, &["--client", "claude-code"], &script);
    terminal.tells("how, stands here once you have seen all of it");
    terminal.types_until(" ", "yes, once: ");
    let drawn = panel(&terminal);
    assert!(drawn.contains("␛[2J") && !drawn.contains('\u{202e}'), "{drawn}");
    assert!(drawn.contains("only looks like `paypal`: \u{430} is U+0430") && drawn.contains("END"));
    terminal.types("no too long for me\r");
    terminal.tells("\x1b[?1049l");
    terminal.types("go\r");
    terminal.tells("done");
    assert!(terminal.shown().contains("a person refused this call: too long for me"));
    terminal.ends();
}

#[test]
fn in_a_real_terminal_the_screen_is_as_it_was_after_the_answer() {
    let (project, sink, [one, _]) = asking();
    let script = format!(
        "{POST}\nprintf 'before\\033[31m in red\\n'; post {one} && echo through; read -r line\n\
         printf '\\033[?1049h\\033[H'; trap 'printf \"drawn anew\"' WINCH; post {one} || echo no; read -r line; echo done"
    );
    let program = project.bartizan(&["run", "--", "bash", "-c", &script]);
    let Some(tmux) = Tmux::start("trusted", &program) else {
        eprintln!("left out: there is no tmux here");
        return;
    };
    let code = |screen: &str| -> String {
        screen.split_once("yes, once: ").unwrap().1.chars().take(4).collect()
    };
    let screen = tmux.shows("yes, once: ");
    assert!(screen.starts_with(" Bartizan asks [") && !screen.contains("before"), "{screen}");
    tmux.types(&code(&screen));
    let screen = tmux.shows("through");
    assert!(screen.contains("before in red") && !screen.contains("Bartizan asks"), "{screen}");
    tmux.types("go on");
    let screen = tmux.shows("yes, once: ");
    assert!(!screen.contains("before"), "{screen}");
    tmux.types("no never");
    let screen = tmux.shows("drawn anew");
    assert!(!screen.contains("Bartizan asks"), "{screen}");
    tmux.types("the end");
    tmux.shows("done");
    assert_eq!(sink.arrived().len(), 1);
}

#[test]
fn the_whole_screen_lists_what_waits_and_takes_an_answer() {
    let (project, sink, [one, _]) = asking();
    let script =
        format!("{POST}\npost {one}; echo asked; read -r line; post {one} && echo through");
    let run = project.bartizan(&["run", "--", "bash", "-c", &script]).typing();
    run.says("asked");
    let mut terminal = Terminal::start(project.bartizan(&["approvals"]));
    terminal.tells("1 wait");
    terminal.tells("net.connect");
    // All of it fits on this screen, so it has been read.
    terminal.types("a");
    terminal.tells("type yes to approve exactly");
    terminal.types("yes\r");
    terminal.tells("approved: the agent may make this call once (as local:");
    terminal.tells("0 wait");
    terminal.types("q");
    terminal.tells("\x1b[?1049l");
    terminal.ends();
    let ran = run.types("go\n").finish();
    assert!(ran.stdout.contains("through"), "{ran:?}");
    assert_eq!(sink.arrived().len(), 1);
}
