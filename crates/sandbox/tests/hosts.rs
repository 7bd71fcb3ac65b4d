//! Does the box hold, or refuse in clear words, on hosts that are not as one would wish?
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may stop, and makes such hosts with `unshare`"
)]
mod support;
use std::process::Command;
use support::{Place, start};

/// Runs the ignored test called `name` of this file below `unshare -Ur`, after `before`; returns what it printed.
fn in_a_user_namespace(name: &str, before: &str) -> String {
    let script =
        format!("{before} exec \"$0\" --exact {name} --ignored --nocapture --test-threads=1");
    let output = Command::new("unshare")
        .args(["-Ur", "bash", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("1 passed"), "{text}");
    text
}

for_everyone! {
    fn a_host_without_user_namespaces_is_refused_with_the_remedy() {
        in_a_user_namespace("refused_here", "echo 0 > /proc/sys/user/max_user_namespaces;");
    }

    fn a_host_with_too_few_namespaces_is_refused_with_the_remedy() {
        in_a_user_namespace("refused_here", "echo 0 > /proc/sys/user/max_net_namespaces;");
    }

    fn whoever_is_root_only_in_a_namespace_gets_an_ordinary_box() {
        in_a_user_namespace("boxed_here", "");
    }
}

#[test]
#[ignore = "run by other tests on a host made for it (issue 2)"]
fn refused_here() {
    let error = start(&Place::new().spec("true")).unwrap_err().to_string();
    assert!(
        error.contains("namespaces") && error.contains("hint: ") && error.contains("sysctl"),
        "{error}"
    );
}

#[test]
#[ignore = "run by other tests on a host made for it (issue 2)"]
fn boxed_here() {
    let outcome = Place::new().run("id -u; cat readme.txt; echo x > readme.txt && cat readme.txt; touch /usr/x; grep CapEff /proc/self/status");
    assert_eq!(
        outcome.stdout, "1000\nhello from the host\nx\nCapEff:\t0000000000000000\n",
        "{outcome:#?}"
    );
}
