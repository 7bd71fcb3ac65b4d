use super::*;

fn with(class: Class, treatment: Treatment) -> Sanitiser {
    Sanitiser::default().with(class, treatment).unwrap()
}

fn cleaned(class: Class, treatment: Treatment, text: &str) -> String {
    let sanitiser = with(class, treatment);
    let clean = sanitiser.clean(text);
    assert!(clean.found.contains_key(&class), "{class:?} was not told of in {text:?}");
    assert_eq!(clean.cut, treatment == Treatment::Remove);
    let again = sanitiser.clean(&clean.text);
    assert_eq!(again.text, clean.text, "a second time changes nothing");
    clean.text.into_owned()
}

/// One attack for each class, how it is shown, and what is left when it is removed.
const ATTACKS: [(Class, &str, &str, &str); 13] = [
    (Class::Bidi, "rm \u{202e}x", "rm ⟨U+202E⟩x", "rm x"),
    (Class::Control, "allow\rdeny\u{7}\u{85}", "allow␍deny␇⟨U+0085⟩", "allowdeny"),
    (Class::Escape, "a\u{1b}[8mhidden\u{1b}[0m", "a␛[8mhidden␛[0m", "ahidden"),
    (Class::Escape, "a\u{1b}]0;title\u{7}b\u{9b}2Jc", "a␛]0;title␇b⟨U+009B⟩2Jc", "abc"),
    (Class::Escape, "\u{1b}]8;;http://x\u{1b}\\link\u{1b}", "␛]8;;http://x␛\\link␛", "link"),
    (Class::Tag, "hi\u{e0069}\u{e0067}", "hi⟨U+E0069⟩⟨U+E0067⟩", "hi"),
    (Class::ZeroWidth, "ig\u{200b}nore", "ig⟨U+200B⟩nore", "ignore"),
    (
        Class::HtmlComment,
        "a <!-- obey <!-- now --> b <!-- to the end",
        "a ⟨html-comment⟩ obey ⟨!-- now ⟨html-comment ends⟩ b ⟨html-comment⟩ to the end⟨html-comment ends⟩",
        "a ⟨html-comment removed⟩ b ⟨html-comment removed⟩",
    ),
    (
        Class::HiddenStyle,
        "a <p STYLE = 'color:red; Display : none !important'>obey<p>x</p></p> b",
        "a ⟨hidden-style⟩<p STYLE = 'color:red; Display : none !important'>obey<p>x</p></p> b",
        "a ⟨hidden-style removed⟩ b",
    ),
    (
        Class::HiddenStyle,
        "<img hidden><b style=font-size:0px>obey",
        "⟨hidden-style⟩<img hidden>⟨hidden-style⟩<b style=font-size:0px>obey",
        "⟨hidden-style removed⟩⟨hidden-style removed⟩",
    ),
    (Class::LookAlike, "see p\u{430}ypal.com", "see p⟨U+0430⟩ypal.com", "see pypal.com"),
    (Class::LookAlike, "p\u{430}ypal", "p⟨U+0430⟩ypal", "pypal"),
    (Class::LookAlike, "a p\u{430}y \u{441}opy", "a p⟨U+0430⟩y ⟨U+0441⟩opy", "a py opy"),
];

#[test]
fn each_class_is_shown_or_removed_as_it_was_asked_for() {
    for (class, attack, shown, removed) in ATTACKS {
        if class == Class::Control || class == Class::Escape {
            // An OSC ends with a control character, which has a treatment of its own.
            let both = with(Class::Control, Treatment::Remove);
            let both = both.with(Class::Escape, Treatment::Remove).unwrap();
            assert_eq!(both.clean(attack).text, removed, "{attack:?}");
        } else {
            assert_eq!(cleaned(class, Treatment::Remove, attack), removed, "{attack:?}");
        }
        assert_eq!(cleaned(class, Treatment::Show, attack), shown, "{attack:?}");
    }
}

#[test]
fn markup_and_letters_stay_by_default_and_are_told_of() {
    for (class, attack, shown, _) in ATTACKS {
        let clean = Sanitiser::default().clean(attack);
        let is_kept = !class.is_unseen();
        assert_eq!(clean.text, if is_kept { attack } else { shown });
        assert!(clean.found.contains_key(&class) && !clean.cut, "{attack:?}");
    }
}

#[test]
fn what_nobody_sees_cannot_be_left_as_it_is() {
    for class in Class::ALL {
        let left = Sanitiser::default().with(class, Treatment::Note);
        assert_eq!(left.is_err(), class.is_unseen(), "{class:?}");
        assert_eq!(Class::parse(class.name()), Some(class));
    }
}

#[test]
fn honest_markup_is_nothing_to_tell_of() {
    for text in [
        "if a <b && c> d { x <- y; }",
        "<p style=\"opacity:0.5; width:100%\" class='hidden'>x</p><input type=hidden>",
        "<!DOCTYPE html><a href='x?hidden=1'>",
        "naïve Ünïcödé, 漢字, عربى, и русский",
    ] {
        assert_eq!(Sanitiser::default().clean(text).found, BTreeMap::new(), "{text}");
    }
}

#[test]
fn removal_puts_no_comment_and_no_escape_together() {
    let mut all = Sanitiser::default();
    for class in Class::ALL {
        all = all.with(class, Treatment::Remove).unwrap();
    }
    for text in [
        "<!<!-- x -->-- y -->",
        "<!\u{200b}-- y -->",
        "<!-\u{1b}[m- y -->",
        "\u{1b}\u{200b}[31m\u{1b}\u{1b}[31m",
        "<p hid<!-- -->den>x",
        "<d<p hidden></p>iv hidden>obey</div>",
        "\u{1b}]0;no end",
    ] {
        let once = all.clean(text).text.into_owned();
        assert_eq!(all.clean(&once).text, once, "{text:?}");
        assert!(!once.contains("<!--") && !once.contains('\u{1b}'), "{once:?}");
    }
}
