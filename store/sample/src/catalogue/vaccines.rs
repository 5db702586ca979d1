//! Vaccines and the ages at which they are given.

use crate::element::{Code, cvx};

/// A vaccine with the months of age of its doses.
#[derive(Debug)]
pub(crate) struct Vaccine {
    pub(crate) code: Code,
    /// Months of age, one per dose.
    pub(crate) months: &'static [i64],
    /// Given every year as well, from the last dose on.
    pub(crate) yearly: bool,
    /// Price in cents.
    pub(crate) cents: i64,
}

const fn doses(code: &'static str, display: &'static str, months: &'static [i64]) -> Vaccine {
    Vaccine { code: cvx(code, display), months, yearly: false, cents: 14_052 }
}

/// The schedule, a simplification of what national programmes recommend.
pub(crate) const VACCINES: &[Vaccine] = &[
    doses("08", "Hep B, adolescent or pediatric", &[0, 1, 6]),
    doses("119", "rotavirus, monovalent", &[2, 4]),
    doses("20", "DTaP", &[2, 4, 6, 15, 48]),
    doses("49", "Hib (PRP-OMP)", &[2, 4, 12]),
    doses("133", "Pneumococcal conjugate PCV 13", &[2, 4, 6, 12, 780]),
    doses("10", "IPV", &[2, 4, 6, 48]),
    doses("03", "MMR", &[12, 48]),
    doses("21", "varicella", &[12, 48]),
    doses("83", "Hep A, ped/adol, 2 dose", &[12, 18]),
    doses("115", "Tdap", &[132]),
    doses("62", "HPV, quadrivalent", &[132, 138, 144]),
    doses("165", "HPV9", &[133, 139]),
    doses("114", "meningococcal MCV4P", &[132, 192]),
    doses("113", "Td (adult) preservative free", &[252, 372, 492, 612, 732, 852]),
    doses("52", "Hep A, adult", &[216, 222]),
    doses("43", "Hep B, adult", &[480, 481, 486]),
    doses("121", "zoster", &[600, 602]),
    doses("187", "zoster recombinant", &[612, 615]),
    doses("33", "pneumococcal polysaccharide vaccine, 23 valent", &[792]),
    doses(
        "207",
        "SARS-COV-2 (COVID-19) vaccine, mRNA, spike protein, LNP, preservative free, 100 mcg/0.5mL dose",
        &[400, 401],
    ),
    doses(
        "208",
        "SARS-COV-2 (COVID-19) vaccine, mRNA, spike protein, LNP, preservative free, 30 mcg/0.3mL dose",
        &[300, 301],
    ),
    Vaccine {
        code: cvx("140", "Influenza, seasonal, injectable, preservative free"),
        months: &[6],
        yearly: true,
        cents: 14_052,
    },
];
