//! Does a redactor know secrets in further places and shapes, and leave what only looks like them?

use super::super::fakes::{ALNUM, HEX, noise, redactor};
use super::hides;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

#[test]
fn codes_in_groups_are_hidden_behind_what_says_that_they_let_somebody_in() {
    let capital = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let groups = |seed: u64, count: u64, len: usize, sign: &str, digits: &[u8]| {
        (0..count).map(|n| noise(seed + n, len, digits)).collect::<Vec<_>>().join(sign)
    };
    for (said, code) in [
        ("Backup code:", groups(400, 4, 4, " ", capital)),
        ("one-time secret:", groups(410, 4, 4, " ", capital)),
        ("Google app password for ann:", groups(420, 4, 4, " ", b"bcdfghjklmnpqrstvwxz")),
        ("Recovery Key:", groups(430, 8, 6, "-", b"0123456789")),
        ("recovery key for sda2:", groups(440, 8, 8, "-", b"cbdefghijklnrtuv")),
        ("License key is", groups(450, 5, 5, "-", capital)),
    ] {
        hides(&[format!("{said} {code}\n"), format!("{said} {code} (single use)\n")], &code);
    }
    let kept = "Access code: this that with from\nStream key: none, then some more text\n";
    assert_eq!(redactor(&[]).redact(kept).text, kept);
}

#[test]
fn what_stands_between_a_name_and_its_value_in_more_files_is_read_over() {
    let value = noise(460, 32, ALNUM);
    let texts = [
        format!("    ApiToken    REG_SZ    {value}\r\n"),
        format!("<string name=\"api_token\" translatable=\"false\">{value}</string>\n"),
        format!("<add key=\"ApiToken\" enabled=\"true\" value=\"{value}\" />\n"),
        format!("(NSString *) apiToken = 0x0000600000c8 @\"{value}\"\n"),
        format!("(gdb) p cfg->api_token\n$9 = 0x55d0c1 \"{value}\"\n"),
        format!("  api_token: &key \"{value}\"\n"),
        format!("api token: =\n{value}\n"),
        format!("a2=\"--api-token\" a3=\"{value}\"\n"),
        format!("[1;33mAPI_TOKEN[0m=[32m{value}[0m\n"),
        format!("libssl.so.3\naccess_token\n{value}\nGLIBC_2.34\n"),
        format!("-> http.request.header.api-token: Slice([\"{value}\"])\n"),
        format!("|| Stage || the api token || Owner ||\n| prod | {value} | ann |\n"),
        format!("| Service | billing refresh token |\n|---|---|\n| shop | `{value}` |\n"),
        format!("AZURE_STORAGE_KEY=\"{value}{value}==\"\n"),
    ];
    hides(&texts, &value);
}

#[test]
fn what_a_command_shows_below_is_hidden_wherever_it_names_it() {
    let value = noise(470, 40, ALNUM);
    let texts = [
        format!("$ az keyvault secret show --name api-token --query value -o tsv\n{value}\n"),
        format!("ann@web:~$ printf %s \"$API_TOKEN\" | tr a-z b-za\n{value}\n"),
        format!("lee: api token for billing pls\nann: {value}\n"),
        format!("new access token below, the old one dies tonight\n{value}\n"),
        format!("> For the test use this signing key:\n>\n>     {value}\n> \n"),
    ];
    hides(&texts, &value);
    let digest = noise(471, 40, HEX);
    for kept in [
        format!("$ git rev-parse origin/token-cache HEAD\n{digest}\n"),
        format!("# Where a token is kept\n{digest}\n"),
        format!("api_key: <your-api-key>\n{digest}\n"),
    ] {
        assert_eq!(redactor(&[]).redact(&kept).text, kept);
    }
}

#[test]
fn passwords_that_commands_and_protocols_take_are_hidden() {
    let value = noise(480, 20, ALNUM);
    let texts = [
        format!("nuget push a.nupkg -s https://example.org/v3 -k {value}\n"),
        format!("bcp t out t.csv -S db1 -U ann -P {value} -c\n"),
        format!("winrm identify -u:ann -p:{value}\n"),
        format!("/msg NickServ IDENTIFY {value}\n"),
        format!("ann : EAP \"{value}\"\n"),
        format!("[smtp.example.org]:587 ann:{value}\n"),
        format!("maria / {value}\n"),
        format!("{{\"method\":\"login\",\"params\":[\"ann\",\"{value}\"]}}\n"),
        format!("f = Fernet(b\"{value}{value}==\")\n"),
        format!("rtmp://live.example.org/app/{value}\n"),
        format!("channels:\n  - https://conda.example.org/t/{value}/main\n"),
        format!(".example.com\tTRUE\t/\tTRUE\t1790000000\tsessionid\t{value}\n"),
        format!("usuario: ann clave: {value}\n"),
        format!("identifiant ann, mdp {value}\n"),
    ];
    hides(&texts, &value);
    let ended = format!("deploy --api-password={value}!\n");
    assert!(!redactor(&[]).redact(&ended).text.contains('!'), "a sign at the end is part of it");
}

#[test]
fn passwords_of_commands_with_flags_and_accounts_of_their_own_are_hidden() {
    let value = format!("{}{}", "Orchid", "4269#");
    let texts = [
        format!("unrar x -p{value} a.rar\n"),
        format!("security unlock-keychain -p {value} login.keychain\n"),
        format!("signtool sign /f cert.pfx /p {value} app.exe\n"),
        format!("expdp ann/{value}@ORCL schemas=APP\n"),
        format!("db2 connect to SAMPLE user ann using {value}\n"),
        format!("govc about -u 'ann:{value}@stage2.example.net'\n"),
        format!("echo '{value}' | zfs load-key tank/home\n"),
        format!("admins = {{ ann = \"{value}\" }}\n"),
        format!("User.objects.create_superuser('ann', 'a@b.org', '{value}')\n"),
        format!("$ kwallet-query -r shop kdewallet\n{value}\n"),
    ];
    hides(&texts, &value);
    let random = noise(520, 43, ALNUM);
    let texts = ["openssl rand -base64 32", "wg genkey", "pwgen -s 43 1", "bin/rails secret"]
        .map(|command| format!("$ {command}\n{random}=\n"));
    hides(&texts, &random);
    let coded = STANDARD.encode(&value);
    hides(&[format!("<- 334 UGFzc3dvcmQ6\n-> {coded}\n")], &coded);
    hides(&[format!("<auth mechanism='PLAIN'>{coded}</auth>\n")], &coded);
    for kept in [
        "cargo test -p bitflags-macros --release\n",
        "mkdir -p build/release2 && cp -p notes2024.txt build\n",
        "ssh -p 2222 ann@example.org\n",
        "docker run -p 8080:80 -d nginx\n",
        "gcc -pthread -pedantic -pipe a.c\n",
    ] {
        assert_eq!(redactor(&[]).redact(kept).text, kept);
    }
}

#[test]
fn a_secret_whose_letters_are_turned_with_its_name_is_hidden() {
    let turn = |text: &str| -> String {
        text.chars()
            .map(|c| match c {
                'a'..='m' | 'A'..='M' => char::from(c as u8 + 13),
                'n'..='z' | 'N'..='Z' => char::from(c as u8 - 13),
                _ => c,
            })
            .collect()
    };
    let value = noise(530, 24, ALNUM);
    let turned = turn(&value);
    for text in [format!("DB_PASSWORD={value}\n"), format!("the secret token is {value}\n")] {
        hides(&[turn(&text)], &turned);
    }
}

#[test]
fn keys_in_the_words_of_a_few_programs_are_hidden() {
    let value = noise(540, 40, ALNUM);
    let texts = [
        format!("Authorization: HMAC shop:{value}\n"),
        format!("Authorization: Digest username=\"ann\", nonce=\"1\", response=\"{value}\"\n"),
        format!("Authorization: Hawk id=\"a\", nonce=\"b\", mac=\"{value}=\"\n"),
        format!("[url \"https://{value}:x-oauth-basic@git.example.org/\"]\n"),
        format!("ann | SCRAM-SHA-256$4096:{value}==${value}=:{value}=\n"),
        format!("<Exponent>AQAB</Exponent><D>{value}</D>\n"),
        format!("ADD_ONION ED25519-V3:{value} Port=80\n"),
        format!("rndc -y hmac:shop:{value}= reload\n"),
        format!("<Pass encoding=\"base64\">{value}</Pass>\n"),
        format!("createUser ann SHA \"x\" AES \"{value}\"\n"),
        format!("changed the password from abcdef99 to {value} today\n"),
    ];
    hides(&texts, &value);
    let kept = "<d>text</d>\n: hmac is a code for messages\n";
    assert_eq!(redactor(&[]).redact(kept).text, kept);
}

#[test]
fn a_passphrase_is_hidden_behind_what_a_sentence_says_of_it() {
    let (joined, spaced) = ("walnut-marble-copper-lantern", "walnut marble copper lantern");
    hides(
        &[
            format!("Enter passphrase for /dev/sda2: {joined}\n"),
            format!("age: using autogenerated passphrase \"{joined}\"\n"),
        ],
        joined,
    );
    hides(&[format!("The passphrase of the disk is \"{spaced}\"; keep it.\n")], spaced);
    let kept = "The password is \"not what you think it is\", she said.\n";
    assert_eq!(redactor(&[]).redact(kept).text, kept);
}

#[test]
fn keys_between_four_dashes_and_beside_their_number_are_hidden() {
    let body = noise(490, 280, ALNUM);
    let lines = format!("{}\n{}\n", body.get(..70).unwrap_or(""), body.get(70..).unwrap_or(""));
    let head = "SSH2 ENCRYPTED PRIVATE KEY";
    let key = format!("---- BEGIN {head} ----\nComment: \"ann\"\n{lines}---- END {head} ----\n");
    let shown = redactor(&[]).redact(&key).text;
    assert!(!shown.contains(body.get(..40).unwrap_or("?")), "{shown}");
    let number = format!("AK{}{}", "IA", noise(491, 16, b"ABCDEFGHIJ234567"));
    let secret = format!("{}/{}", noise(492, 20, ALNUM), noise(493, 19, ALNUM));
    hides(&[format!("{number}:{secret}\n"), format!("ann,{number},{secret}\n")], &secret);
}

#[test]
fn a_token_is_told_by_a_word_of_its_prefix_wherever_it_stands() {
    let hex = noise(500, 32, HEX);
    let short = noise(501, 22, ALNUM);
    for token in [
        format!("acme_{}_{hex}", "live"),
        format!("acme_{}_{short}", "secret"),
        format!("plane_{}_{hex}", "api"),
        format!("lip_{}", noise(502, 20, ALNUM)),
        format!("aio_{}", noise(503, 28, ALNUM)),
        format!("*:production.{}", noise(504, 56, HEX)),
    ] {
        hides(&[format!("{{\"v\": \"{token}\"}}\n"), format!("init(\"{token}\", 3)\n")], &token);
    }
    let kept = format!("cus_{}\nbundle_{hex}\nkey_of_the_second_table_2\n", noise(505, 14, ALNUM));
    assert_eq!(redactor(&[]).redact(&kept).text, kept);
}

#[test]
fn a_body_that_cannot_be_unpacked_is_withheld() {
    let heads: [&[u8]; 4] = [
        b"BZh91AY&SY",
        b"\xFD7zXZ\0\0\x04",
        b"\x28\xB5\x2F\xFD\x24\x35",
        b"7z\xBC\xAF\x27\x1C\0\x04",
    ];
    for head in heads {
        let body = STANDARD.encode([head, noise(510, 60, ALNUM).as_bytes()].concat());
        let shown = redactor(&[]).redact(&format!("payload={body}\n")).text;
        assert!(shown.starts_with("payload=[REDACTED:unscanned:"), "{shown}");
    }
    let image = STANDARD.encode([b"\x89PNG\r\n\x1a\n", noise(511, 60, ALNUM).as_bytes()].concat());
    let kept = format!("payload={image}\n");
    assert_eq!(redactor(&[]).redact(&kept).text, kept);
}
