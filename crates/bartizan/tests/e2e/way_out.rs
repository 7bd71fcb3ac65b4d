//! Is each request that leaves a real box judged, by method and path, and does a credential meet only its host?

use crate::support::log::Log;
use crate::support::project::{GITHUB_TOKEN, Project, Ran};
use crate::support::site::Site;

/// Runs a shell script in the box; the launching shell believes the site's certificate.
fn bash(project: &Project, site: &Site, script: &str) -> Ran {
    let ran = project
        .bartizan(&["run", "--no-summary", "--", "bash", "-c", script])
        .env("SSL_CERT_FILE", &site.certificate())
        .finish();
    assert!(!ran.stdout.contains(GITHUB_TOKEN), "the token was seen in the box: {ran:?}");
    ran
}

fn configure(project: &Project, site: &Site, rules: &str, more: &str) {
    let target = site.target();
    project.configure(&format!(
        "[roles.default]\n{}\n[hosts.\"{target}\"]\nprivate = true\ntls = \"terminate\"\n{}\n",
        rules.replace("SITE", &target),
        more.replace("SITE", &target)
    ));
}

#[test]
fn a_method_is_allowed_and_another_asked_on_one_host() {
    let project = Project::new();
    let site = Site::start(&project);
    configure(
        &project,
        &site,
        "allow = [\"net(GET SITE)\"]\nask = [\"net(POST SITE/send/*)\"]",
        "",
    );
    let url = format!("https://{}", site.target());
    let script = format!(
        "curl -sS {url}/read; curl -sS -d @notes.txt {url}/send/it; curl -sS -d @notes.txt {url}/other; \
         curl -sS --path-as-is -d @notes.txt {url}/send/../other; \
         python3 -c 'import urllib.request as u; print(u.urlopen(\"{url}/python\").read()[:11])'"
    );
    let ran = bash(&project, &site, &script);
    assert!(ran.stdout.contains("GET /read") && ran.stdout.contains("GET /python"), "{ran:?}");
    assert_eq!(ran.stdout.matches("\"code\":\"approval-required\"").count(), 1, "{ran:?}");
    assert_eq!(ran.stdout.matches("\"code\":\"policy-denied\"").count(), 2, "{ran:?}");
    assert_eq!(site.arrived(), ["GET /read", "GET /python"]);
    let log = Log::read(&project);
    let read = log.find("call", |record| record["tool"] == "net.request");
    assert_eq!(
        (&read["arguments"]["method"], &read["arguments"]["path"]),
        (&"GET".into(), &"/read".into())
    );
    assert_eq!(log.outcome(&read)["details"]["status"], 200);
    let asked = log.find("refusal", |record| record["code"] == "approval-required");
    assert!(asked["arguments"]["path"] == "/send/it" && asked["question"].is_string(), "{asked}");
    Log::read(&project).is_whole(&project);
}

#[test]
fn a_yes_is_for_one_request_once() {
    let project = Project::new();
    let site = Site::start(&project);
    configure(&project, &site, "ask = [\"net(POST SITE/send/*)\"]", "");
    let url = format!("https://{}", site.target());
    let script = format!(
        "post() {{ curl -sS -f -o /dev/null -d hello {url}/send/$1 2>/dev/null; }}\n\
         post it && echo TOO-EARLY; echo asked\n\
         until [ -e /tmp/enough ]; do if post it; then echo through; touch /tmp/enough; fi; sleep 0.1; done\n\
         post it && echo TWICE; post other && echo OTHER; echo done"
    );
    let run = project
        .bartizan(&["run", "--no-summary", "--", "bash", "-c", &script])
        .env("SSL_CERT_FILE", &site.certificate())
        .start();
    run.says("asked");
    assert!(site.arrived().is_empty(), "nothing leaves before the answer");
    let listed = project.bartizan(&["approvals", "list", "--json"]).finish();
    let questions: Vec<serde_json::Value> = serde_json::from_str(&listed.stdout).unwrap();
    let question = questions[0]["id"].as_str().unwrap();
    let shown = project.bartizan(&["approvals", "show", question]).finish();
    assert!(shown.stdout.contains("/send/it"), "the person sees what is sent where: {shown:?}");
    let said = project.bartizan(&["approvals", "approve", question, "--yes"]).finish();
    assert!(said.status.success(), "{said:?}");
    let ran = run.finish();
    assert!(ran.stdout.contains("through"), "{ran:?}");
    for wrong in ["TOO-EARLY", "TWICE", "OTHER"] {
        assert!(!ran.stdout.contains(wrong), "{ran:?}");
    }
    assert_eq!(site.arrived(), ["POST /send/it"]);
}

#[test]
fn a_request_tells_whether_a_person_or_a_rule_has_opened_its_connection() {
    let project = Project::new();
    let site = Site::start(&project);
    for (rules, by_person) in
        [("allow = [\"net(GET SITE)\"]", None), ("ask = [\"net(SITE)\"]", Some(true))]
    {
        configure(&project, &site, rules, "");
        let url = format!("https://{}", site.target());
        let script = format!(
            "get() {{ curl -sS -f -o /dev/null {url}/read 2>/dev/null; }}\n\
             get; echo asked; until get; do sleep 0.1; done; echo done"
        );
        let run = project
            .bartizan(&["run", "--no-summary", "--", "bash", "-c", &script])
            .env("SSL_CERT_FILE", &site.certificate())
            .start();
        run.says("asked");
        if by_person.is_some() {
            let listed = project.bartizan(&["approvals", "list", "--json"]).finish();
            let questions: Vec<serde_json::Value> = serde_json::from_str(&listed.stdout).unwrap();
            let question = questions[0]["id"].as_str().unwrap();
            let said = project.bartizan(&["approvals", "approve", question, "--yes"]).finish();
            assert!(said.status.success(), "{said:?}");
        }
        assert!(run.finish().stdout.contains("done"));
        let log = Log::read(&project);
        let requests = log.all("call", |record| record["tool"] == "net.request");
        let read = requests.last().unwrap();
        let told = read["arguments"].get("approved").and_then(serde_json::Value::as_bool);
        assert_eq!(told, by_person, "{rules}: {read}");
    }
}

#[test]
fn git_clones_without_a_token_and_a_push_is_refused_where_it_leaves() {
    let project = Project::new();
    let site = Site::start(&project);
    let rules = "allow = [\"net(GET SITE/git/*)\", \"net(POST SITE/git/*/git-upload-pack)\"]\n\
                 ask = [\"net(POST SITE/git/*/git-receive-pack)\"]";
    let inject = "[secrets.git]\nfrom = \"env://GITHUB_TOKEN\"\nplaceholder = [\"TOKEN\"]\n\
                  [[inject]]\nsecret = \"git\"\nhost = \"SITE\"\nas = \"basic:x-access-token\"\npath = \"/git\"";
    configure(&project, &site, rules, inject);
    let clone = format!(
        "git clone -q https://{}/git/shop.git /tmp/shop && cat /tmp/shop/one.txt && cd /tmp/shop && \
         echo two > two.txt && git add . && git -c user.name=a -c user.email=a@b commit -q -m two && \
         G=push && git $G -q origin HEAD:refs/heads/new; echo pushed: $?; echo token: $TOKEN",
        site.target()
    );
    let ran = bash(&project, &site, &clone);
    assert!(ran.stdout.contains("one\n"), "{ran:?}");
    assert!(ran.stdout.contains("pushed: ") && !ran.stdout.contains("pushed: 0"), "{ran:?}");
    assert!(ran.stdout.contains("token: ") && !ran.stdout.contains("token: \n"), "{ran:?}");
    assert_eq!(site.head("new"), None, "it was pushed");
    assert!(
        site.arrived().iter().any(|line| line.starts_with("POST /git/shop.git/git-upload-pack"))
    );
    assert!(
        !site.arrived().iter().any(|line| line.starts_with("POST /git/shop.git/git-receive-pack"))
    );
    let log = Log::read(&project);
    let fetched = log.find("call", |record| record["tool"] == "net.request");
    assert_eq!(fetched["secret"], "git", "the use of the secret is on the log: {fetched}");
    let asked = log.find("refusal", |record| record["code"] == "approval-required");
    assert!(asked["arguments"]["path"].as_str().unwrap().ends_with("/git-receive-pack"), "{asked}");
}

#[test]
fn a_credential_meets_its_host_and_nothing_of_it_comes_back() {
    let project = Project::new();
    let site = Site::start(&project);
    let inject = "[secrets.gh]\nfrom = \"env://GITHUB_TOKEN\"\nplaceholder = [\"GITHUB_TOKEN\"]\nkind = \"github-token\"\n\
                  [[inject]]\nsecret = \"gh\"\nhost = \"SITE\"\nas = \"bearer\"\npath = \"/api\"";
    configure(&project, &site, "allow = [\"net(SITE)\"]", inject);
    let url = format!("https://{}", site.target());
    let script = format!(
        "curl -sS --compressed -H \"Authorization: token $GITHUB_TOKEN\" -H 'Cookie: mine' {url}/api/user; \
         echo; echo ----; curl -sS -H 'Authorization: mine' \"{url}/other?q=$GITHUB_TOKEN\"; echo \"[$GITHUB_TOKEN]\""
    );
    let ran = bash(&project, &site, &script);
    let (api, other) = ran.stdout.split_once("----").unwrap();
    let api = api.to_lowercase();
    assert!(api.contains("authorization: bearer [redacted:gh:"), "{ran:?}");
    assert!(!api.contains("mine") && !api.contains("ghp_"), "{ran:?}");
    assert!(other.contains("q=ghp_") && !other.to_lowercase().contains("authorization"), "{ran:?}");
    let log = Log::read(&project);
    let alarm = log.find("egress", |record| record["alarm"] == "placeholder-misplaced");
    assert_eq!((&alarm["secret"], &alarm["place"]), (&"gh".into(), &"url".into()));
    let used = log.find("call", |record| record["secret"] == "gh");
    assert_eq!(log.outcome(&used)["details"]["hidden"], 1);
    let records = project.bartizan(&["audit", "list", "--json"]).finish().stdout;
    assert!(!records.contains(GITHUB_TOKEN), "the value is on the log");
}

#[test]
fn a_value_that_was_used_stays_out_of_the_log_in_every_disguise() {
    used_value_stays_out_of_the_log(&["run", "--no-summary"]);
}

/// What stands in the place of a server uses the value, and ends without a word of MCP.
#[test]
fn a_value_that_a_server_used_stays_out_of_the_log() {
    used_value_stays_out_of_the_log(&["mcp"]);
}

fn used_value_stays_out_of_the_log(command: &[&str]) {
    // No vendor's shape: nothing but having been used gives it away.
    const VALUE: &str = "kestrel-Umber-42-quarry";
    const BASE64: &str = "a2VzdHJlbC1VbWJlci00Mi1xdWFycnk";
    let project = Project::new();
    let site = Site::start(&project);
    let inject = "[secrets.plain]\nfrom = \"env://PLAIN_KEY\"\n\
                  [[inject]]\nsecret = \"plain\"\nhost = \"SITE\"\nas = \"bearer\"\npath = \"/api\"";
    configure(&project, &site, "allow = [\"net(SITE)\"]", inject);
    let url = format!("https://{}", site.target());
    let script = format!(
        "curl -sS -o /dev/null {url}/api/x; \
         curl -sS -o /dev/null {url}/leak/{VALUE}; curl -sS -o /dev/null {url}/leak/{BASE64}"
    );
    let ran = project
        .bartizan(&[command, &["--", "bash", "-c", &script]].concat())
        .env("SSL_CERT_FILE", &site.certificate())
        .env("PLAIN_KEY", VALUE)
        .typing()
        .finish();
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(site.arrived().len(), 3, "{ran:?}");
    let records = project.bartizan(&["audit", "list", "--json"]).finish().stdout;
    let leaks = records.lines().filter(|line| line.contains("/leak/[REDACTED:plain:")).count();
    assert_eq!(leaks, 2, "{records}");
    // The command itself was told before anybody knew: it is the launching person's own.
    let after = records.lines().filter(|line| line.contains("net.request"));
    for record in after {
        assert!(!record.contains(VALUE) && !record.contains(BASE64), "{record}");
    }
}

#[test]
fn the_box_holds_the_certificate_and_not_its_key() {
    let project = Project::new();
    let site = Site::start(&project);
    configure(&project, &site, "allow = [\"net(SITE)\"]", "");
    let script = "cat /etc/bartizan/ca.pem; grep -c BEGIN /etc/bartizan/roots.pem; ls /etc/bartizan; \
                  grep -rl 'PRIVATE KEY' /etc/bartizan /tmp ~ 2>/dev/null; echo x > /etc/bartizan/ca.pem || echo held";
    let ran = bash(&project, &site, script);
    assert!(
        ran.stdout.contains("BEGIN CERTIFICATE") && ran.stdout.contains("roots.jks"),
        "{ran:?}"
    );
    assert!(ran.stdout.contains("\n2\n"), "the site's and ours: {ran:?}");
    assert!(ran.stdout.ends_with("held\n") && !ran.stdout.contains("PRIVATE"), "{ran:?}");
}
