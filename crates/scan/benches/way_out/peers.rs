//! How fast is what others do: a set of patterns, each tried on all of the text?

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

/// Patterns of the public formats: one set tells which of them a line has, then each of these says where. Scanners like
/// gitleaks seek keywords before that.
pub(crate) struct PatternSet {
    set: RegexSet,
    each: Vec<Regex>,
}

impl PatternSet {
    pub(crate) fn new() -> Result<Self, regex::Error> {
        let compile = |pattern: &&str| RegexBuilder::new(pattern).unicode(false).build();
        let each = PATTERNS.iter().map(compile).collect::<Result<_, _>>()?;
        let set = RegexSetBuilder::new(PATTERNS).unicode(false).build()?;
        Ok(Self { set, each })
    }

    /// How many places the patterns find.
    pub(crate) fn count(&self, text: &[u8]) -> usize {
        text.split(|byte| *byte == b'\n')
            .flat_map(|line| self.set.matches(line).into_iter().map(move |which| (which, line)))
            .filter_map(|(which, line)| Some(self.each.get(which)?.find_iter(line).count()))
            .sum()
    }
}

const PATTERNS: [&str; 24] = [
    r"\b(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b",
    r"\bAIza[\w-]{35}\b",
    r"\bsk-ant-api03-[a-zA-Z0-9_-]{93}AA\b",
    r"\bsk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{74}T3BlbkFJ[A-Za-z0-9_-]{74}\b",
    r"\bghp_[0-9a-zA-Z]{36}\b",
    r"\bgh[ousr]_[0-9a-zA-Z]{36}\b",
    r"\bgithub_pat_\w{82}\b",
    r"\bglpat-[\w-]{20}\b",
    r"\bxox[bp]-[0-9]{10,13}-[0-9]{10,13}[a-zA-Z0-9-]*",
    r"https?://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9+/]{43,56}",
    r"\b(?:sk|rk)_(?:test|live|prod)_[a-zA-Z0-9]{10,99}\b",
    r"\bSG\.[a-zA-Z0-9=_.-]{66}\b",
    r"\bkey-[a-f0-9]{32}\b",
    r"\bnpm_[a-zA-Z0-9]{36}\b",
    r"\bpypi-AgEIcHlwaS5vcmc[\w-]{50,1000}",
    r"\bdop_v1_[a-f0-9]{64}\b",
    r"\bhvs\.[\w-]{90,120}\b",
    r"\bhf_[a-zA-Z]{34}\b",
    r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b",
    r"\bSK[0-9a-fA-F]{32}\b",
    r"\bey[a-zA-Z0-9]{17,}\.ey[a-zA-Z0-9/_-]{17,}\.[a-zA-Z0-9/_-]{10,}={0,2}",
    r"-----BEGIN[ A-Z0-9_-]{0,100}PRIVATE KEY(?: BLOCK)?-----",
    r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:@/]{1,64}:[^\s:@/]{3,128}@[\w.-]+",
    r#"(?i)[\w.-]{0,50}?(?:access|auth|api|credential|creds|key|passw(?:or)?d|secret|token)[ \t\w.-]{0,20}[\s'"]{0,3}(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)[\x60'"\s=]{0,5}([\w.=-]{10,150})(?:[\x60'"\s;]|$)"#,
];
