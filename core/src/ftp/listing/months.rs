//! Months as servers write them, which is in the language of whoever set them up.

use std::sync::LazyLock;

/// January first; the words of each month, in lower case and without a point. No word is in two of them.
///
/// English, German, French, Spanish, Portuguese, Italian, Catalan, Romanian, Dutch, Swedish, Norwegian, Danish, Finnish,
/// Polish, Czech, Slovak, Hungarian, Turkish, Russian, Ukrainian, Bulgarian, Greek. Croatian, whose June is called as July is in
/// Polish and Czech, is not told apart from them, and left out.
const MONTHS: [&str; 12] = [
    "jan january januar januari janv janvier jän jänner ene enero janeiro gen gennaio gener ian ianuarie tammi tammikuu \
     sty styczeń stycznia led leden ledna január oca ocak янв январь января січ січня яну януари ιαν ιανουαρίου",
    "feb february februar februari fév févr février febrero fev fevereiro febbraio febr februarie helmi helmikuu lut luty \
     lutego úno únor února február şub şubat фев февр февраль февраля лют лютого февруари φεβ φεβρουαρίου",
    "mar march mär märz mrz mars marzo março març martie mrt maart marts maalis maaliskuu marzec marca bře březen března \
     márc március marec mart мар март марта бер березня μάρ μαρ μαρτίου",
    "apr april avr avril abr abril aprile aprilie huhti huhtikuu kwi kwiecień kwietnia dub duben dubna ápr április apríl \
     nis nisan апр апрель апреля кві квітня април απρ απριλίου",
    "may mai mayo maio mag maggio maig mei maj touko toukokuu maja kvě květen května máj május mayıs май мая тра травня \
     μάι μαϊ μαΐου",
    "jun june juni juin junio junho giu giugno juny iun iunie kesä kesäkuu cze czerwiec czerwca čen čvn červen června jún \
     június haz haziran июн июнь июня чер червня юни ιούν ιουν ιουνίου",
    "jul july juli juil juillet julio julho lug luglio juliol iul iulie heinä heinäkuu lip lipiec lipca čec čvc červenec \
     července júl július tem temmuz июл июль июля лип липня юли ιούλ ιουλ ιουλίου",
    "aug august août aoû ago agosto agost augustus augusti elo elokuu sie sierpień sierpnia srp srpen srpna augusztus ağu \
     ağustos авг август августа сер серпня αύγ αυγ αυγούστου",
    "sep sept september septembre septiembre set setembro settembre setembre septembrie syys syyskuu wrz wrzesień września \
     zář září szept szep szeptember eyl eylül сен сент сентябрь сентября вер вересня септември σεπ σεπτ σεπτεμβρίου",
    "oct october okt oktober octobre octubre out outubro ott ottobre octombrie loka lokakuu paź październik października \
     říj říjen října október eki ekim окт октябрь октября жов жовтня октомври οκτ οκτωβρίου",
    "nov november novembre noviembre novembro noi noiembrie marras marraskuu lis listopad listopada listopadu kas kasım \
     ноя нояб ноябрь ноября лис листопада ное ноем ноември νοέ νοε νοεμβρίου",
    "dec december dez dezember déc décembre dic diciembre dezembro dicembre des desember desembre decembrie joulu \
     joulukuu gru grudzień grudnia pro prosinec prosince ara aralık дек декабрь декабря гру грудня декември δεκ δεκεμβρίου",
];

const ENGLISH: [&[u8; 3]; 12] =
    [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];

/// The month, 1 to 12, that a word names; a point or comma behind it is none of it.
pub(super) fn month(word: &[u8]) -> Option<u32> {
    if let &[a, b, c] = word {
        let plain = [a, b, c].map(|byte| byte.to_ascii_lowercase());
        if let Some(at) = ENGLISH.iter().position(|name| **name == plain) {
            return Some(at as u32 + 1);
        }
    }
    let word = word.strip_suffix(b",").unwrap_or(word);
    let word = word.strip_suffix(b".").unwrap_or(word);
    if !(3..=24).contains(&word.len()) || word.iter().any(u8::is_ascii_digit) {
        return None;
    }
    if word.is_ascii() {
        let mut lower = [0; 24];
        let lower = &mut lower[..word.len()];
        lower.copy_from_slice(word);
        lower.make_ascii_lowercase();
        return named(lower);
    }
    match std::str::from_utf8(word) {
        // Cyrillic in an 8-bit encoding can be valid UTF-8 by chance, of letters that no month has.
        Ok(text) => named(text.to_lowercase().as_bytes()).or_else(|| cyrillic(word)),
        Err(_) => cyrillic(word).or_else(|| western(word)),
    }
}

/// Owners and groups are asked about as well, in every line of a listing: so the words are in order.
fn named(lower: &[u8]) -> Option<u32> {
    static NAMES: LazyLock<Vec<(&[u8], u32)>> = LazyLock::new(|| {
        let words = |names: &'static str| names.split_ascii_whitespace().map(str::as_bytes);
        let mut names: Vec<_> =
            (1..).zip(MONTHS).flat_map(|(at, names)| words(names).map(move |word| (word, at))).collect();
        names.sort_unstable();
        names
    });
    NAMES.binary_search_by(|(name, _)| (*name).cmp(lower)).ok().map(|at| NAMES[at].1)
}

/// KOI8-R, Windows-1251, ISO 8859-5, or code page 866: a word that is a month in one of them.
fn cyrillic(word: &[u8]) -> Option<u32> {
    const KOI8: &str = "юабцдефгхийклмнопярстужвьызшэщчъ";
    let koi8 = |byte: u8| KOI8.chars().nth(usize::from(byte - 0xc0) % 32);
    let from = |base: u8, byte: u8| char::from_u32(0x410 + u32::from(byte - base));
    let letters: [&dyn Fn(u8) -> Option<char>; 4] = [
        &|byte| (byte >= 0xc0).then(|| koi8(byte)).flatten(),
        &|byte| (byte >= 0xc0).then(|| from(0xc0, byte)).flatten(),
        &|byte| (0xb0..=0xef).contains(&byte).then(|| from(0xb0, byte)).flatten(),
        &|byte| match byte {
            0x80..=0xaf => from(0x80, byte),
            0xe0..=0xef => char::from_u32(0x440 + u32::from(byte - 0xe0)),
            _ => None,
        },
    ];
    letters.iter().find_map(|letter| {
        let text: Option<String> = word.iter().map(|&byte| letter(byte)).collect();
        named(text?.to_lowercase().as_bytes())
    })
}

/// An 8-bit encoding of Latin letters. They agree on ASCII, and those of ISO 8859 on most of what they share; any other
/// byte may stand for any other letter. A word that could be two months is none.
fn western(word: &[u8]) -> Option<u32> {
    let fits = |name: &str| {
        name.chars().count() == word.len()
            && name.chars().zip(word).all(|(letter, &byte)| match u8::try_from(letter) {
                Ok(ascii) if ascii.is_ascii() => ascii == byte.to_ascii_lowercase(),
                // In code pages of DOS, letters come before 0xa0.
                Ok(latin1) => byte == latin1 || (0x80..0xa0).contains(&byte),
                Err(_) => !byte.is_ascii() && u32::from(letter) < 0x370,
            })
    };
    let mut found = (1..).zip(&MONTHS).filter(|(_, names)| names.split_ascii_whitespace().any(fits));
    let (number, _) = found.next()?;
    found.next().is_none().then_some(number)
}

/// What stands behind a number for a year, a month, a day in Chinese, Japanese and Korean: UTF-8, then Shift_JIS, EUC-JP,
/// GBK, Big5, EUC-KR.
const UNITS: [&[&[u8]]; 3] = [
    &["年".as_bytes(), "년".as_bytes(), b"\x94\x4e", b"\xc7\xaf", b"\xc4\xea", b"\xa6\x7e", b"\xb3\xe2"],
    &["月".as_bytes(), "월".as_bytes(), b"\x8c\x8e", b"\xb7\xee", b"\xd4\xc2", b"\xa4\xeb", b"\xbf\xf9"],
    &["日".as_bytes(), "일".as_bytes(), b"\x93\xfa", b"\xc6\xfc", b"\xc8\xd5", b"\xa4\xe9", b"\xc0\xcf"],
];

/// What a word like `1月`, `31日` or `2024年1月31日` says: year, month, day, and a number without its unit at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WithUnits {
    pub(super) year: Option<u32>,
    pub(super) month: Option<u32>,
    pub(super) day: Option<u32>,
    pub(super) bare: Option<u32>,
}

/// A word of numbers with units; `None` if no unit is in it.
pub(super) fn with_units(word: &[u8]) -> Option<WithUnits> {
    if !word.first()?.is_ascii_digit() || word.is_ascii() {
        return None;
    }
    let mut found = WithUnits::default();
    let mut rest = word;
    while !rest.is_empty() {
        let digits = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
        let n = super::words::small(&rest[..digits], 1, 4)?;
        rest = &rest[digits..];
        if rest.is_empty() {
            found.bare = Some(n);
            break;
        }
        let (which, unit) = (0..3)
            .zip(UNITS)
            .find_map(|(i, all)| all.iter().find(|unit| rest.starts_with(unit)).map(|unit| (i, *unit)))?;
        let place = [&mut found.year, &mut found.month, &mut found.day].into_iter().nth(which)?;
        if place.replace(n).is_some() {
            return None;
        }
        rest = &rest[unit.len()..];
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_is_two_months() {
        let mut all: Vec<_> = MONTHS.iter().flat_map(|names| names.split_ascii_whitespace()).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        for (number, names) in (1..).zip(&MONTHS) {
            for name in names.split_ascii_whitespace() {
                assert_eq!(month(name.as_bytes()), Some(number), "{name}");
            }
        }
    }

    #[test]
    fn in_8_bit_encodings() {
        for (word, number) in [
            (&b"M\xe4r"[..], 3),
            (b"d\xe9c.", 12),
            (b"f\xe9vr.", 2),
            (b"ao\xfbt", 8),
            (b"pa\xbc", 10),
            (b"\xf8\xedj", 10),
            (b"m\xe1rc", 3),
            (b"j\xfan", 6),
            (b"j\xe4n", 1),
            // янв in KOI8-R, Windows-1251, ISO 8859-5 and code page 866; окт, май.
            (b"\xd1\xce\xd7", 1),
            (b"\xff\xed\xe2", 1),
            (b"\xef\xdd\xd2", 1),
            (b"\xef\xad\xa2", 1),
            (b"\xcf\xcb\xd4", 10),
            (b"\xcc\xe0\xe9", 5),
        ] {
            assert_eq!(month(word), Some(number), "{}", word.escape_ascii());
        }
        for none in [&b"\xff\xff\xff"[..], b"j\x84\x84", b"ma", b"", b"januaryy", b"m\xe1\xe1", b"12."] {
            assert_eq!(month(none), None, "{}", none.escape_ascii());
        }
    }

    #[test]
    fn numbers_with_units() {
        let found = |year, month, day, bare| Some(WithUnits { year, month, day, bare });
        assert_eq!(with_units("2024年1月31日".as_bytes()), found(Some(2024), Some(1), Some(31), None));
        assert_eq!(with_units("1月31".as_bytes()), found(None, Some(1), None, Some(31)));
        assert_eq!(with_units("12월".as_bytes()), found(None, Some(12), None, None));
        assert_eq!(with_units(b"3\xd4\xc2"), found(None, Some(3), None, None));
        assert_eq!(with_units(b"3\x8c\x8e"), found(None, Some(3), None, None));
        for none in ["12", "1月1月", "1x", "", "月", "1月x"] {
            assert_eq!(with_units(none.as_bytes()), None, "{none}");
        }
    }
}
