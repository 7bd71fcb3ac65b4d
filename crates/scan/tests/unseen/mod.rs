//! Does a redactor know secrets in places and shapes that its first rules did not?

use super::fakes::{ALNUM, HEX, noise, redactor};
use bartizan_scan::Redactor;

mod more;

/// Hides `value` in each text, whole and in pieces, and nothing else of it when it is harmless.
fn hides(texts: &[String], value: &str) {
    let redactor = redactor(&[]);
    for text in texts {
        let shown = redactor.redact(text).text;
        assert!(!shown.contains(value), "{text} -> {shown}");
        assert_eq!(redactor.redact(&shown).text, shown);
        for size in [1, 7] {
            let (mut stream, mut out) = (redactor.stream(), Vec::new());
            for chunk in text.as_bytes().chunks(size) {
                stream.push(chunk, &mut out);
            }
            drop(stream.finish(&mut out));
            assert_eq!(out, shown.as_bytes(), "{text} in pieces of {size}");
        }
    }
}

/// A password that a person made up of words, which is no name where a password stands.
fn made_up() -> String {
    format!("{}-{}-{}{}", "tiger", "saddle", "harbor", 99)
}

#[test]
fn a_password_of_words_is_hidden_where_a_password_stands() {
    let value = made_up();
    let texts = [
        format!("DB_PASSWORD={value}"),
        format!("DB_PW={value}\n"),
        format!("rootPw: {value}\n"),
        format!("postgres://app:{value}@db/app"),
        format!("the password is {value}"),
        format!("hey, wifi pw is {value}\n"),
        format!("mysql -h db -uroot -p{value} shop < dump.sql"),
        format!("user,pw,host\nann,{value},db\n"),
        format!("USER    PASSWORD                  HOST\nann     {value}   db 1\n"),
        format!("\"Kennwort\": 1\nKennwort lautet {value}\n"),
    ];
    hides(&texts, &value);
}

#[test]
fn a_value_behind_a_sign_that_few_languages_use_is_hidden() {
    let value = noise(31, 24, ALNUM);
    let texts = [
        format!("API_TOKEN?={value}"),
        format!("api_token <- \"{value}\""),
        format!("std::string apiToken{{\"{value}\"}};"),
        format!("Dim apiToken As String = \"{value}\""),
        format!("#define DD_APP_KEY \"{value}\""),
        format!("(def api-token \"{value}\")"),
        format!("ENV API_TOKEN {value}\nRUN make\n"),
        format!("API_TOKEN<<EOF\n{value}\nEOF\n"),
        format!("token = os.getenv('TOKEN') or '{value}'"),
        format!("password: process.env.PW || '{value}',"),
        format!("cy.get('#password').type('{value}')"),
        format!("{{\"Key\": \"API_TOKEN\", \"Type\": \"SecureString\", \"Value\": \"{value}\"}}"),
        format!("variable \"api_token\" {{\n  type    = string\n  default = \"{value}\"\n}}\n"),
        format!("gh secret set API_TOKEN --body \"{value}\""),
        format!("echo '{value}' | wrangler secret put API_TOKEN"),
    ];
    hides(&texts, &value);
}

#[test]
fn a_password_that_follows_a_login_is_hidden() {
    let value = format!("{}{}", "kV9pQ2zL", "r7Xw");
    let texts = [
        format!("requests.get(url, auth=('ann', '{value}'))"),
        format!("DriverManager.getConnection(url, \"ann\", \"{value}\");"),
        format!("new PDO('mysql:host=db', 'ann', '{value}');"),
        format!("btoa('ann:{value}')"),
        format!("jwt.sign(payload, '{value}')"),
        format!("const [user, pass] = ['ann', '{value}'];"),
        format!("creds = {{'ann': '{value}'}}"),
        format!("creds for staging: ann:{value}\n"),
        format!("log in as ann with {value}\n"),
        format!("use root / {value} to get in\n"),
        format!("ann:{value}@tcp(db:3306)/shop?parseTime=true"),
        format!("sqlplus ann/{value}@db:1521/XE"),
        format!("rabbitmqctl add_user ann {value}"),
        format!("htpasswd -b .htpasswd ann {value}"),
        format!("echo \"ann:{value}\" | chpasswd"),
        format!("sudo -S <<< '{value}'"),
        format!("Zugangsdaten: ann / {value}"),
        format!("mail.auth(\"ann\", \"{value}\")"),
        format!("mc alias set prod https://minio.lan ann {value}"),
        format!("<password encrypted=\"false\">{value}</password>"),
        format!("Pass phrase for server.key: {value}"),
        format!("username admin privilege 15 secret 0 {value}"),
        format!("[+] db:22 - Success: 'ann:{value}'"),
    ];
    hides(&texts, &value);
}

#[test]
fn a_value_that_stands_before_its_name_is_hidden() {
    let value = noise(41, 24, ALNUM);
    let texts = [
        format!("Use `{value}` as the staging API key until we rotate it.\n"),
        format!("{value} is the token for the old box\n"),
        format!("ann: {value} was our root password\n"),
        format!("try {value} (the admin password) first\n"),
        format!("{value} <- db password\n"),
        format!("{value}  # registry token\n"),
    ];
    hides(&texts, &value);
    for harmless in [
        "commit 3f2a9c1b7e is the token change\n",
        "4460/tcp # network time security key\n",
        "3f2a9c1b7e0d4f5a6b7c is the secret version\n",
        "RFC7519 is the token format that we use\n",
        "const [head, payloadB64] = idToken.split('.')\n",
    ] {
        assert_eq!(redactor(&[]).redact(harmless).text, harmless);
    }
}

#[test]
fn a_value_behind_what_a_language_puts_between_is_hidden() {
    let value = noise(42, 32, ALNUM);
    let texts = [
        format!("public string AuthToken {{ get; set; }} = \"{value}\";"),
        format!("<authToken><![CDATA[{value}]]></authToken>"),
        format!("<dt>API token</dt><dd><code>{value}</code></dd>"),
        format!("<AdminPassword><Value>{value}</Value></AdminPassword>"),
        format!("  [\"auth_token\"]=>\n  string(32) \"{value}\"\n"),
        format!("Config {{ auth_token: Some(\"{value}\"), retries: 3 }}"),
        format!("headers.insert(\"X-Auth-Token\", HeaderValue::from_static(\"{value}\"));"),
        format!("new UsernamePasswordCredentials(\"ann\", \"{value}\")"),
        format!("ssh.connect(\"db.lan\", 22, \"ann\", \"{value}\")"),
        format!("\"auth_token\": {{\n  \"value\": \"{}\",\n  \"type\": \"string\"\n", &value),
        format!("Please use the following password to proceed:\n\n{value}\n\n"),
        format!("Your new API token (shown only once):\n\n    {value}\n"),
        format!("setenv AUTH_TOKEN {value}=\n"),
        format!("curl https://api.lan -u {value}:\n"),
        format!("mosquitto_pub -h mq -u ann -t a/b -P {value} -m hi\n"),
        format!("default = root:{value}\n"),
        format!("const auth_token: []const u8 = \"{value}\";"),
        format!("const authToken string = \"{value}\""),
        format!("  auth_token = <<-EOT\n    {value}\n  EOT\n"),
        format!("\"ParameterKey\": \"AuthToken\",\n\"ParameterValue\": \"{value}\"\n"),
        format!("<meta-data android:name=\"AuthToken\" android:value=\"{value}\"/>"),
        format!("GET /cb?next=%252Fa%253Fauth_token%253D{value} HTTP/1.1\n"),
        format!("Cookie: _gitlab_session={value}; theme=dark\n"),
    ];
    hides(&texts, &value);
    let uuid = ["9a4b439c", "9257", "409c", "9bad", "6fa59c753d89"].join("-");
    hides(&[format!("Shipment API key: {uuid}\n"), format!("the token `{uuid}` is old\n")], &uuid);
    for harmless in [
        "let secret = env::get(\"NAME_OF_3rd_SECRET9\");",
        "image: root:1.27.3-alpine3.20\n",
        "passwordResetTokenExpiresAt: Date;\n",
        "def private_key(self) -> dh.DHPrivateKey:\n",
    ] {
        assert_eq!(redactor(&[]).redact(harmless).text, harmless);
    }
}

#[test]
fn what_a_command_shows_below_its_own_line_is_hidden() {
    let value = noise(44, 32, ALNUM);
    let texts = [
        format!("$ gcloud auth print-access-token\n{value}\n"),
        format!("cat /run/secrets/api_token\n{value}\n"),
        format!(">>> os.environ['API_TOKEN']\n'{value}'\n"),
        format!("irb(main):001> ENV[\"API_TOKEN\"]\n=> \"{value}\"\n"),
        format!("/shop/api_token\r\n{value}\r\n"),
    ];
    hides(&texts, &value);
    for harmless in [
        "git log --grep token\n3f2a9c1b7e0d Rotate the signing key\n",
        "fn next(&self) -> Token\nwhere\n    Self: Sized,\n",
        "see the password\nREADME-2.md\n",
    ] {
        assert_eq!(redactor(&[]).redact(harmless).text, harmless);
    }
    let password = format!("{}{}", "kV9pQ2zL", "r7Xw");
    let texts = [
        format!("you can get in with {password}, it's the same password everywhere\n"),
        format!("SET PASSWORD FOR 'ann'@'%' = '{password}'\n"),
        format!("echo '{password}' | kinit ann\n"),
        format!("WIFI:S:home;T:WPA;P:{password};;\n"),
        format!("Password for 'https://ann@git.lan': {password}\n"),
        format!("expect \"assword:\"\nsend \"{password}\\r\"\n"),
        format!("\"basic_auth\": {{\"ann\": \"{password}\"}}\n"),
        format!("cache_peer up parent 3128 0 login=ann:{password}\n"),
    ];
    hides(&texts, &password);
}

#[test]
fn a_password_is_hidden_in_many_languages() {
    let value = format!("{}{}", "kV9pQ2zL", "r7Xw");
    let texts = [
        "Passordet til db-1 er {}.",
        "Das Kennwort f\u{fc}r die Datenbank lautet {}, bitte \u{e4}ndern.",
        "Le mot de passe de la base est {} ; merci de le changer.",
        "Motdepasse={}",
        "Senha do banco: {}",
        "Has\u{142}o do serwera db-1: {}",
        "\"heslo\": \"{}\"",
        "Lozinka za db-1 je {}.",
        "Lösenordet till db-1 är {}.",
        "Salasana: {}",
        "A jelsz\u{f3}: {}",
        "Slapta\u{17e}odis: {}",
        "Sunucunun \u{15f}ifresi: {}",
        "Kata sandi server: {}",
        "M\u{1ead}t kh\u{1ea9}u l\u{e0} {}",
        "Пароль от db-1: {}",
        "Паролата е {}",
        "Κωδικός πρόσβασης: {}",
        "הסיסמה היא {}",
        "كلمة المرور هي {}",
        "पासवर्ड है {}",
        "รหัสผ่านคือ {}",
        "数据库密码是{}，请尽快修改。",
        "口令：{}",
        "パスワードは {} です。",
        "비밀번호는 {} 입니다.",
    ];
    hides(&texts.map(|text| format!("{}\n", text.replace("{}", &value))), &value);
    let key = noise(45, 32, ALNUM);
    let texts = [
        "API-Schl\u{fc}ssel: {}",
        "Cl\u{e9} d'API : {}",
        "Clave de API: {}",
        "Chave da API: {}",
        "Ключ API: {}",
        "密钥：{}",
        "APIキー: {}",
        "API 키: {}",
    ];
    hides(&texts.map(|text| format!("{}\n", text.replace("{}", &key))), &key);
    for harmless in [
        "Das Passwort muss mindestens 12 Zeichen haben.\n",
        "Пароль должен быть не короче 12 символов.\n",
        "密码是必填项，请输入。\n",
        "Cl\u{e9} primaire : id_client\n",
        "Clave de acceso: ver docs/seguridad.md\n",
        "bypass=cache-v12a and compass: north-12e\n",
    ] {
        assert_eq!(redactor(&[]).redact(harmless).text, harmless);
    }
}

#[test]
fn what_somebody_answers_or_a_program_complains_of_is_hidden() {
    let value = noise(46, 32, ALNUM);
    let texts = [
        format!("[10:42] dana: whats the billing api key?\n[10:43] lee: {value}\n"),
        format!("<dana> what is the token?\n<lee> {value}\n"),
        format!("Error: Incorrect API key provided: {value}. See https://docs.lan/keys\n"),
        format!("Then put your API key (`{value}`) into the settings\n"),
        format!("In [4]: client.secret_key\nOut[4]: '{value}'\n"),
        format!("$ pass show work/db\n{value}\n"),
        format!("$ cat config/master.key\n{}\n", &value),
        format!("$ openssl rand -base64 24\n{value}\n"),
        format!("UPDATE settings SET value = '{value}' WHERE name = 'billing_api_key';\n"),
        format!("> The new API token:\n> {}=\n> {}\n> thanks\n", &value[..20], &value[20..]),
        format!("defaultpass = {value}\n"),
        format!("## Access token\n\n{value}\n\n## Region\n"),
        format!("### API token\n\n```\n{value}\n```\n"),
        format!("API key\n-------\n{value}\n"),
        format!("Username\nann\nPassword\n{value}\nSign in\n"),
        format!("Content-Disposition: form-data; name=\"api_token\"\r\n\r\n{value}\r\n--x--\n"),
        format!("127.0.0.1:6379> CONFIG GET requirepass\n1) \"requirepass\"\n2) \"{value}\"\n"),
        format!("kubectl get secret db -o jsonpath=\"{{.data.x}}\" | base64 -d\n{value}\n"),
        format!("Enter passphrase for key \"/k\": {value}\n"),
        format!("a:1:{{s:8:\"password\";s:32:\"{value}\";}}\n"),
        format!("static const char api_key[] = \"{value}\";\n"),
        format!("$ENV{{API_KEY}} = '{value}';\n"),
        format!("  apiKey={{\"{value}\"}}\n"),
        format!("((host . \"x.lan\") (api-token . \"{value}\"))\n"),
        format!("API key \u{2192} {value}\n"),
        format!("access token ==> {value}\n"),
        format!("Access token ........ {value}\n"),
        format!("* API token - `{value}`\n"),
        format!("Client Secret      {value}\nRedirect           x\n"),
        format!("cargo login {value}\n"),
        format!("addauth digest ann:{value}\n"),
        format!("SQL> CONNECT ann/{value}@orcl\n"),
        format!("ssh-keygen -t ed25519 -N '{value}' -f k\n"),
        format!("127.0.0.1:6379> GET shop:api_token\n\"{value}\"\n"),
        format!("device_code: {value}\n"),
        format!("  ~ api_secret = \"x\" -> \"{value}\"\n"),
        format!("ENV['API_TOKEN'] ||= '{value}'\n"),
        format!("     -> api.secret: Str({value})\n"),
        format!("api key for billing = {value}\n"),
        format!("**API secret:** `{value}`\n"),
        format!("Please find the signing key below.\n\n{value}\n\nRegards\n"),
        format!("key,value\nclient_secret,{value}\n"),
        format!("private_key = 0x55d0 \"{value}\"\n"),
        format!("printf \"{value}\" | gcloud secrets create billing --data-file=-\n"),
        format!("holds an API key ({value}), which I will not repeat\n"),
        format!("\u{2502} access_token \u{2502} {value} \u{2502}\n"),
    ];
    hides(&texts[..9], &value);
    hides(&texts[10..], &value);
    hides(&texts[9..10], &value[..20]);
}

#[test]
fn what_is_no_answer_and_stands_below_no_title_stays() {
    for harmless in [
        "what is the token?\nsee docs/tokens.md\n",
        "$ cat public.key\nsee the wiki\n",
        "password policy: 12-chars, Upper1Lower\n",
        "$ pass show\nStore\n",
        "## Access tokens\n\nread-only-2\n",
        "Password\nSign in\n",
        "API key - see the README\n",
        "token ... see below2\n",
        "the token - 12 of them - is read\n",
        "token_count,12, and then see below.\n\nnext\n",
        "the key (see section 12b) is public\n",
        "getToken(readConfig2)\n",
        "[debug] auth header = pg-XJqaL1k9qJkZoZTZyBaYb6C3\n",
        "UPDATE settings SET value = 'dark-mode-2' WHERE name = 'theme';\n",
    ] {
        assert_eq!(redactor(&[]).redact(harmless).text, harmless);
    }
}

#[test]
fn an_address_that_opens_by_itself_is_hidden_from_its_scheme_on() {
    let part = noise(47, 40, HEX);
    let address = format!("https://acme.webhook.{}/webhookb2/{part}@{part}/Incoming", "office.com");
    let redacted = redactor(&[]).redact(&format!("post to {address} then"));
    assert_eq!(redacted.findings[0].span, 8..8 + address.len(), "{}", redacted.text);
    let text = format!("API_KEY={part}");
    let digits = text.bytes().map(|b| format!("{b:02x}")).collect::<Vec<_>>().concat();
    hides(&[format!("payload=0x{digits} len=48\n")], &digits);
}

#[test]
fn a_token_of_a_vendor_that_no_rule_knows_is_hidden_by_its_prefix() {
    let value = noise(43, 36, ALNUM);
    let token = |prefix: &str| format!("{prefix}{value}");
    let texts = ["zorb_", "acme-", "qux_live_", "abc-def-ghi-"]
        .map(|prefix| format!("see {} now\n", token(prefix)));
    hides(&texts, &value);
    for harmless in [
        format!("sha256-{value}\n"),
        format!("src/module.css,sha256=abc-{value},17\n"),
        format!("req_{value}\n"),
        format!("assets/index-{value}.js\n"),
        format!("see zorb_{} now\n", &value[..24]),
    ] {
        assert_eq!(redactor(&[]).redact(&harmless).text, harmless);
    }
}

#[test]
fn what_files_of_keys_hold_is_hidden() {
    let key = noise(32, 43, ALNUM);
    let line = noise(33, 64, ALNUM);
    for (text, value) in [
        (format!("{{\"kty\": \"OKP\", \"x\": \"{line}\", \"d\": \"{key}\"}}"), &key),
        (format!("Encryption: none\nPrivate-Lines: 1\n{line}\nPrivate-MAC: 00\n"), &line),
        (
            format!(
                "\"type\": \"random_password\",\n\"attributes\": {{\n\"length\": 43,\n\"result\": \"{key}\"\n"
            ),
            &key,
        ),
        (format!("https://app.example/login?code={key}"), &key),
    ] {
        hides(&[text], value);
    }
    let vault = noise(48, 160, HEX);
    let (one, two) = vault.split_at(80);
    let text = format!("$ANSIBLE_VAULT;1.1;AES256\n{one}\n{two}\n");
    hides(std::slice::from_ref(&text), one);
    hides(&[text], two);
    let codes = ["7k2fp-x91mq", "b83ha-02kfd", "q7v1c-9wxt4"];
    let text = format!("Recovery codes:\n{}\n", codes.join("\n"));
    for code in codes {
        hides(std::slice::from_ref(&text), code);
    }
}

#[test]
fn tokens_of_more_vendors_are_hidden_whole() {
    let (hex, letters) = (|seed, len| noise(seed, len, HEX), |seed, len| noise(seed, len, ALNUM));
    let (part, long) = (hex(1, 8), hex(2, 64));
    for token in [
        format!("pa{}{}.{long}", "t", letters(3, 14)),
        format!(
            "xaa{}-{part}-{}-{}-{}-{}",
            "t",
            &long[..4],
            &long[4..8],
            &long[8..12],
            &long[..12]
        ),
        format!("{}AZ{}{}", letters(4, 76), "DO", letters(5, 4)),
        format!("{}-us{}", hex(6, 32), 12),
        format!("sk{}{}", "_", hex(11, 48)),
        format!("abc8{}~{}", "Q", letters(12, 34)),
        format!("dt0c0{}.{}.{}", 1, letters(13, 24), letters(14, 64)),
        format!("{}.atlas{}.{}", letters(15, 14), "v1", letters(16, 64)),
        format!("access_token${}${}${}", "production", letters(17, 16), hex(18, 32)),
    ] {
        let texts = ["", "x = '", "<v>", "see "].map(|before| format!("{before}{token}\n"));
        hides(&texts, &token[2..]);
        let redacted = redactor(&[]).redact(&format!("see {token} now"));
        assert_eq!(redacted.findings[0].span, 4..4 + token.len(), "{token}");
    }
}

#[test]
fn what_stands_in_such_places_and_is_no_secret_stays() {
    let redactor = redactor(&[]);
    for text in [
        "auth 9.17.5-rc.3+dfc149c\n",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/ledger-4yXXHY",
        "password: db-credentials-v2",
        "#   PasswordAuthentication  yes\n#   IdentityFile  ~/.ssh/id_ed25519\n",
        "ImmutablePass *createTypeBasedAAWrapperPass();",
        "req.headers['proxy-authorization'] === `Basic ${Buffer.from(login).toString('base64')}`",
        "credentials: see docs/login2fa-setup",
        "NAME              SECRET          AGE\nledger            db-creds        12d\n",
        "secretName: tls-wildcard-cert2",
        "-----END PRIVATE KEY-----x\"nextPageToken\": \"WCcp32bHjh1srhQDe2dsaKrY\"",
        "variable \"token_ttl\" {\n  type    = number\n  default = 3600\n}\n",
        "cluster-us1 and region-eu-us12 are up",
        "root / home / admin / viewer",
        "$(pwd)/target OLDPWD=/usr/share/doc",
    ] {
        assert_eq!(redactor.redact(text).text, text);
    }
}

#[test]
fn a_known_value_is_hidden_in_codes_that_only_malice_chooses() {
    let value = "Tk9-qaZ3vX7bLm2wRf8d";
    let redactor = redactor(&[("mine", value)]);
    let each = |show: &dyn Fn(char) -> String| value.chars().map(show).collect::<Vec<_>>();
    let number = |c: char| u32::from(c.to_ascii_lowercase()) - u32::from('a');
    let styled =
        |base: u32| move |c: char| char::from_u32(base + number(c)).unwrap_or(c).to_string();
    let letters = |show: &dyn Fn(char) -> String| {
        each(&|c| if c.is_ascii_alphabetic() { show(c) } else { c.to_string() }).concat()
    };
    let morse = "- -.- ----. -....- --.- .- --.. ...-- ...- -..- --... -... .-.. -- ..--- .-- .-. ..-. ---.. -..";
    for (name, text) in [
        ("neighbours", each(&|c| char::from(c as u8 + 1).to_string()).concat()),
        (
            "places",
            each(&|c| if c.is_ascii_alphabetic() { (number(c) + 1).to_string() } else { c.into() })
                .join("-"),
        ),
        ("numbered", numbered(value, &|n, c| format!("{}: {c}", n + 1))),
        ("members", numbered(value, &|n, c| format!("x[{n}] = \"{c}\";"))),
        ("tags", each(&|c| format!("<b>{c}</b>")).concat()),
        ("mask", each(&|c| format!("{:02x}", c as u8 ^ 0x55)).concat()),
        ("double", each(&|c| format!("{c}{c}")).concat()),
        ("assembler", each(&|c| format!("{:02X}h", c as u8)).join(" ")),
        (
            "turned pieces",
            value
                .as_bytes()
                .chunks(4)
                .flat_map(|p| p.iter().rev().map(|b| char::from(*b)))
                .collect(),
        ),
        ("wide", each(&|c| format!("{:02x}000000", c as u8)).concat()),
        ("columns", (0..3).flat_map(|from| value.chars().skip(from).step_by(3)).collect()),
        ("as in", each(&|c| format!("{c} as in {}", spoken(c))).join(", ")),
        ("spoken", each(&|c| spoken(c).to_owned()).join(" ")),
        ("flags", letters(&styled(0x1F1E6))),
        ("squares", letters(&styled(0x1F130))),
        ("circles", letters(&styled(0x24D0))),
        ("morse", morse.to_owned()),
        ("alike", value.replace('a', "\u{430}").replace('X', "\u{425}").replace('T', "\u{422}")),
    ] {
        is_hidden(&redactor, name, &text);
    }
}

/// One line after another, each with a character and its number.
fn numbered(value: &str, line: &dyn Fn(usize, char) -> String) -> String {
    value.chars().enumerate().map(|(number, c)| line(number, c)).collect::<Vec<_>>().join("\n")
}

/// Hides all of `code`, and nothing round it, however it comes.
fn is_hidden(redactor: &Redactor, name: &str, code: &str) {
    let text = format!("before this\n{code}\nand after that\n");
    let redacted = redactor.redact(&text);
    assert!(redacted.text.contains("[REDACTED:mine:"), "{name}: {}", redacted.text);
    assert!(redacted.text.starts_with("before this\n"), "{name}: {}", redacted.text);
    assert!(redacted.text.ends_with("and after that\n"), "{name}: {}", redacted.text);
    let hidden: usize = redacted.findings.iter().map(|found| found.span.len()).sum();
    assert!(hidden * 10 >= (text.len() - 28) * 8, "{name}: {}", redacted.text);
    for size in [1, 5, 64] {
        let (mut stream, mut out) = (redactor.stream(), Vec::new());
        for chunk in text.as_bytes().chunks(size) {
            stream.push(chunk, &mut out);
        }
        drop(stream.finish(&mut out));
        assert_eq!(out, redacted.text.as_bytes(), "{name} in pieces of {size}");
    }
}

/// The word for a letter, digit or sign that people say on the phone.
fn spoken(c: char) -> &'static str {
    const WORDS: &str = "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar \
        papa quebec romeo sierra tango uniform victor whiskey x-ray yankee zulu zero one two three four five six seven \
        eight nine";
    let at = "abcdefghijklmnopqrstuvwxyz0123456789".find(c.to_ascii_lowercase());
    at.and_then(|at| WORDS.split_ascii_whitespace().nth(at)).unwrap_or("dash")
}
