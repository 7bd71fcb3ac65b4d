//! Do the programs that people use get through, with nothing but the session's certificate?

use crate::court::{Judge, Site, Way, echo, no};
use std::io::Write as _;
use std::process::{Output, Stdio};
use std::time::Duration;

/// Runs a program that is told of the way out as a box tells it; `None` where it is not installed.
async fn run(way: &Way, program: &str, args: &[&str]) -> Option<Output> {
    let dir = tempfile::tempdir().unwrap();
    let (pem, java) = (dir.path().join("roots.pem"), dir.path().join("roots.jks"));
    std::fs::File::create(&pem).unwrap().write_all(way.trust.pem().as_bytes()).unwrap();
    std::fs::write(&java, way.trust.java()).unwrap();
    let proxy = format!("http://127.0.0.1:{}", way.proxy);
    #[expect(clippy::disallowed_methods, reason = "the test asks real clients")]
    let mut command = tokio::process::Command::new(program);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    for name in ["https_proxy", "HTTPS_PROXY", "http_proxy"] {
        command.env(name, &proxy);
    }
    for name in ["no_proxy", "NO_PROXY"] {
        command.env_remove(name);
    }
    for name in ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS"] {
        command.env(name, &pem);
    }
    command.env("TEST_TRUST", &java).env("TEST_PROXY_PORT", way.proxy.to_string());
    let ran = tokio::time::timeout(Duration::from_mins(2), command.output()).await;
    match ran.expect("it took too long") {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        output => Some(output.unwrap()),
    }
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn judge() -> std::sync::Arc<Judge> {
    Judge::new(|request| if request.method() == "GET" { Ok(None) } else { Err(no()) })
}

#[tokio::test]
async fn curl_speaks_both_versions_and_reads_why_not() {
    let site = Site::start(&[b"h2", b"http/1.1"], echo).await;
    let way = Way::to(&site, judge()).await;
    let url = format!("https://ok.test:{}/hello", site.port);
    for version in ["--http1.1", "--http2"] {
        let Some(ran) = run(&way, "curl", &["-sS", version, &url]).await else { return };
        assert!(
            ran.status.success() && text(&ran).contains("GET /hello"),
            "{version}: {}",
            text(&ran)
        );
        let ran = run(&way, "curl", &["-sS", version, "-d", "@/etc/hostname", &url]).await.unwrap();
        assert!(text(&ran).contains("\"code\":\"policy-denied\""), "{version}: {}", text(&ran));
        // The refusal is ready before the body is.
        let late = format!("(sleep 0.3; echo late) | curl -sS {version} -T - {url}");
        let ran = run(&way, "sh", &["-c", &late]).await.unwrap();
        assert!(text(&ran).contains("\"code\":\"policy-denied\""), "{version}: {}", text(&ran));
    }
    assert!(site.lines().iter().all(|line| line == "GET /hello"), "{:?}", site.lines());
}

#[tokio::test]
async fn python_gets_through_and_is_refused() {
    let site = Site::start(&[b"http/1.1"], echo).await;
    let way = Way::to(&site, judge()).await;
    let program = format!(
        "import urllib.request as u, urllib.error\n\
         print(u.urlopen('https://ok.test:{0}/py').read().decode())\n\
         try: u.urlopen('https://ok.test:{0}/py', data=b'x'); print('THROUGH')\n\
         except urllib.error.HTTPError as e: print(e.code, e.headers['bartizan-reason'])\n",
        site.port
    );
    let Some(ran) = run(&way, "python3", &["-c", &program]).await else { return };
    assert!(
        text(&ran).contains("GET /py") && text(&ran).contains("403 policy-denied"),
        "{}",
        text(&ran)
    );
    assert!(!text(&ran).contains("THROUGH"));
}

#[tokio::test]
async fn node_gets_through_and_is_refused() {
    let site = Site::start(&[b"http/1.1"], echo).await;
    let way = Way::to(&site, judge()).await;
    // Node has no proxy of its own before version 24: a CONNECT by hand, then its own TLS and HTTP.
    let program = format!(
        "const http=require('http'),https=require('https');\
         const go=(method)=>http.request({{port:process.env.TEST_PROXY_PORT,method:'CONNECT',path:'ok.test:{0}',headers:{{host:'ok.test:{0}'}}}})\
         .on('connect',(_,socket)=>https.request({{method,host:'ok.test',port:{0},path:'/node',createConnection:()=>\
         require('tls').connect({{socket,servername:'ok.test'}})}},(r)=>{{r.on('data',d=>console.log(r.statusCode,String(d)));\
         r.on('end',()=>method==='GET'?go('PUT'):process.exit(0))}}).end()).end();go('GET')",
        site.port
    );
    let Some(ran) = run(&way, "node", &["-e", &program]).await else { return };
    assert!(
        text(&ran).contains("200 GET /node") && text(&ran).contains("403 {\"error\""),
        "{}",
        text(&ran)
    );
}

#[tokio::test]
async fn java_believes_the_key_store() {
    let site = Site::start(&[b"http/1.1"], echo).await;
    let way = Way::to(&site, judge()).await;
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("roots.jks");
    std::fs::write(&store, way.trust.java()).unwrap();
    let args = ["-list", "-keystore", store.to_str().unwrap(), "-storetype", "JKS"];
    let Some(ran) = run(&way, "keytool", &args).await else { return };
    assert!(text(&ran).contains("trustedCertEntry"), "{}", text(&ran));
    let source = dir.path().join("Get.java");
    let program = format!(
        "public class Get {{ public static void main(String[] a) throws Exception {{\
         var c = new java.net.URL(\"https://ok.test:{}/java\").openConnection();\
         System.out.println(new String(c.getInputStream().readAllBytes())); }} }}",
        site.port
    );
    std::fs::write(&source, program).unwrap();
    let trust = format!("-Djavax.net.ssl.trustStore={}", store.display());
    let port = format!("-Dhttps.proxyPort={}", way.proxy);
    let args = [&trust, "-Dhttps.proxyHost=127.0.0.1", &port, source.to_str().unwrap()];
    let ran = run(&way, "java", &args).await.unwrap();
    // A runtime without a compiler cannot run a source file; its key store was read above.
    if !text(&ran).contains("jdk.compiler") {
        assert!(text(&ran).contains("GET /java"), "{}", text(&ran));
    }
}

#[tokio::test]
async fn openssl_sees_the_sessions_certificate_for_the_hosts_name() {
    let site = Site::start(&[b"http/1.1"], echo).await;
    let way = Way::to(&site, judge()).await;
    let (host, proxy) = (format!("ok.test:{}", site.port), format!("127.0.0.1:{}", way.proxy));
    let dir = tempfile::tempdir().unwrap();
    let pem = dir.path().join("roots.pem");
    std::fs::write(&pem, way.trust.pem()).unwrap();
    let args = [
        "s_client",
        "-connect",
        &host,
        "-servername",
        "ok.test",
        "-proxy",
        &proxy,
        "-CAfile",
        pem.to_str().unwrap(),
        "-verify_return_error",
        "-verify_hostname",
        "ok.test",
    ];
    let Some(ran) = run(&way, "openssl", &args).await else { return };
    assert!(text(&ran).contains("Verify return code: 0 (ok)"), "{}", text(&ran));
    assert!(text(&ran).contains("CN = Bartizan session test"), "{}", text(&ran));
}

/// A `PostgreSQL` of its own, as an ordinary user, in a temporary folder.
struct Postgres {
    child: std::process::Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Postgres {
    /// `None` where it is not installed.
    fn start() -> Option<Self> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
        let bin = versions
            .flatten()
            .map(|entry| entry.path().join("bin"))
            .find(|bin| bin.join("initdb").exists())?;
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let data = dir.path().join("data");
        let root = std::fs::metadata("/proc/self")
            .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        // It refuses to run as root; then it runs as the user that its package made.
        #[expect(clippy::disallowed_methods, reason = "the test stands where the world does")]
        let command = |program: &str| {
            let program = bin.join(program);
            if !root {
                return std::process::Command::new(program);
            }
            let mut command = std::process::Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
            command
        };
        if root {
            #[expect(clippy::disallowed_methods, reason = "the test stands where the world does")]
            let owned = std::process::Command::new("chown")
                .arg("-R")
                .arg("postgres")
                .arg(dir.path())
                .status();
            if !owned.is_ok_and(|owned| owned.success()) {
                return None;
            }
        }
        let made = command("initdb")
            .arg("-D")
            .arg(&data)
            .args(["-A", "trust", "-U", "shop", "--no-sync"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", text(&made));
        let child = command("postgres")
            .arg("-D")
            .arg(&data)
            .args([
                "-p",
                &port.to_string(),
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "fsync=off",
                "-k",
            ])
            .arg(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self { child, port, _dir: dir })
    }
}

#[tokio::test]
async fn psql_passes_by_a_rule_for_host_and_port() {
    let Some(server) = Postgres::start() else { return };
    let way = Way::transparent("db.test", server.port, Judge::yes()).await;
    let to =
        format!("host=127.0.0.1 port={} user=shop dbname=postgres connect_timeout=20", way.proxy);
    let ask = "select string_agg(n::text, '+') || ' = ' || sum(n) from generate_series(1, 4) n";
    let mut said = String::new();
    for _ in 0..60 {
        let Some(ran) = run(&way, "psql", &["-X", "-A", "-t", "-c", ask, &to]).await else {
            return;
        };
        said = text(&ran);
        if ran.status.success() {
            break;
        }
        // The server is still starting.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(said.trim(), "1+2+3+4 = 10");
    assert!(way.judge.seen.lock().unwrap().is_empty(), "there was no request to judge");
}
