//! Laboratory tests with their reference ranges, panels, and survey scores.

use crate::element::{Code, loinc, snomed};

/// A measured quantity. The range is in units of ten to the power of minus `scale`.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) code: Code,
    /// What clinicians call it.
    pub(crate) short: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) low: i64,
    pub(crate) high: i64,
    pub(crate) scale: u32,
}

const fn lab(
    code: &'static str,
    names: (&'static str, &'static str),
    unit: &'static str,
    low: i64,
    high: i64,
    scale: u32,
) -> Lab {
    Lab { code: loinc(code, names.0), short: names.1, unit, low, high, scale }
}

/// Tests that are reported together.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) code: Code,
    pub(crate) labs: &'static [Lab],
}

/// Basic metabolic panel.
pub(crate) const BASIC_PANEL: Panel = Panel {
    code: loinc("51990-0", "Basic metabolic panel - Blood"),
    labs: &[
        lab("2339-0", ("Glucose [Mass/volume] in Blood", "Glucose"), "mg/dL", 6500, 9990, 2),
        lab("6299-2", ("Urea nitrogen [Mass/volume] in Blood", "Urea Nitrogen"), "mg/dL", 700, 2000, 2),
        lab("38483-4", ("Creatinine [Mass/volume] in Blood", "Creatinine"), "mg/dL", 60, 130, 2),
        lab("49765-1", ("Calcium [Mass/volume] in Blood", "Calcium"), "mg/dL", 850, 1050, 2),
        lab("2947-0", ("Sodium [Moles/volume] in Blood", "Sodium"), "mmol/L", 13600, 14500, 2),
        lab("6298-4", ("Potassium [Moles/volume] in Blood", "Potassium"), "mmol/L", 350, 520, 2),
        lab("2069-3", ("Chloride [Moles/volume] in Blood", "Chloride"), "mmol/L", 9800, 11100, 2),
        lab(
            "20565-8",
            ("Carbon dioxide, total [Moles/volume] in Blood", "Carbon Dioxide"),
            "mmol/L",
            2000,
            2900,
            2,
        ),
    ],
};

/// Comprehensive metabolic panel of serum: kidney, liver and electrolytes.
pub(crate) const KIDNEY: Panel = Panel {
    code: loinc("24323-8", "Comprehensive metabolic 2000 panel - Serum or Plasma"),
    labs: &[
        lab("2345-7", ("Glucose [Mass/volume] in Serum or Plasma", "Glucose"), "mg/dL", 6500, 9990, 2),
        lab(
            "3094-0",
            ("Urea nitrogen [Mass/volume] in Serum or Plasma", "Urea Nitrogen"),
            "mg/dL",
            700,
            2000,
            2,
        ),
        lab("2160-0", ("Creatinine [Mass/volume] in Serum or Plasma", "Creatinine"), "mg/dL", 60, 130, 2),
        lab("17861-6", ("Calcium [Mass/volume] in Serum or Plasma", "Calcium"), "mg/dL", 850, 1050, 2),
        lab("2951-2", ("Sodium [Moles/volume] in Serum or Plasma", "Sodium"), "mmol/L", 13600, 14500, 2),
        lab("2823-3", ("Potassium [Moles/volume] in Serum or Plasma", "Potassium"), "mmol/L", 350, 520, 2),
        lab("2075-0", ("Chloride [Moles/volume] in Serum or Plasma", "Chloride"), "mmol/L", 9800, 11100, 2),
        lab(
            "2028-9",
            ("Carbon dioxide, total [Moles/volume] in Serum or Plasma", "Carbon Dioxide"),
            "mmol/L",
            2000,
            2900,
            2,
        ),
        lab("2885-2", ("Protein [Mass/volume] in Serum or Plasma", "Total Protein"), "g/dL", 600, 830, 2),
        lab("1751-7", ("Albumin [Mass/volume] in Serum or Plasma", "Albumin"), "g/dL", 350, 550, 2),
        lab("10834-0", ("Globulin [Mass/volume] in Serum by calculation", "Globulin"), "g/L", 200, 350, 2),
        lab(
            "1975-2",
            ("Bilirubin.total [Mass/volume] in Serum or Plasma", "Total Bilirubin"),
            "mg/dL",
            10,
            120,
            2,
        ),
        lab(
            "6768-6",
            ("Alkaline phosphatase [Enzymatic activity/volume] in Serum or Plasma", "Alkaline Phosphatase"),
            "U/L",
            2000,
            14000,
            2,
        ),
        lab(
            "1742-6",
            ("Alanine aminotransferase [Enzymatic activity/volume] in Serum or Plasma", "ALT"),
            "U/L",
            700,
            5500,
            2,
        ),
        lab(
            "1920-8",
            ("Aspartate aminotransferase [Enzymatic activity/volume] in Serum or Plasma", "AST"),
            "U/L",
            800,
            4800,
            2,
        ),
        lab(
            "33914-3",
            (
                "Glomerular filtration rate/1.73 sq M.predicted [Volume Rate/Area] in Serum or Plasma by Creatinine-based formula (MDRD)",
                "Estimated Glomerular Filtration Rate",
            ),
            "mL/min/{1.73_m2}",
            6000,
            13500,
            2,
        ),
        lab(
            "14959-1",
            ("Microalbumin/Creatinine [Mass Ratio] in Urine", "Microalbumin Creatinine Ratio"),
            "mg/g",
            200,
            3000,
            2,
        ),
    ],
};

/// Complete blood count.
pub(crate) const BLOOD_COUNT: Panel = Panel {
    code: loinc("58410-2", "CBC panel - Blood by Automated count"),
    labs: &[
        lab(
            "6690-2",
            (
                "Leukocytes [#/volume] in Blood by Automated count",
                "Leukocytes [#/volume] in Blood by Automated count",
            ),
            "10*3/uL",
            350,
            1050,
            2,
        ),
        lab(
            "789-8",
            (
                "Erythrocytes [#/volume] in Blood by Automated count",
                "Erythrocytes [#/volume] in Blood by Automated count",
            ),
            "10*6/uL",
            390,
            570,
            2,
        ),
        lab(
            "718-7",
            ("Hemoglobin [Mass/volume] in Blood", "Hemoglobin [Mass/volume] in Blood"),
            "g/dL",
            1200,
            1750,
            2,
        ),
        lab(
            "4544-3",
            (
                "Hematocrit [Volume Fraction] of Blood by Automated count",
                "Hematocrit [Volume Fraction] of Blood by Automated count",
            ),
            "%",
            3500,
            5000,
            2,
        ),
        lab(
            "787-2",
            ("MCV [Entitic volume] by Automated count", "MCV [Entitic volume] by Automated count"),
            "fL",
            8000,
            9600,
            2,
        ),
        lab(
            "785-6",
            ("MCH [Entitic mass] by Automated count", "MCH [Entitic mass] by Automated count"),
            "pg",
            2700,
            3300,
            2,
        ),
        lab(
            "786-4",
            ("MCHC [Mass/volume] by Automated count", "MCHC [Mass/volume] by Automated count"),
            "g/dL",
            3300,
            3600,
            2,
        ),
        lab(
            "21000-5",
            (
                "Erythrocyte distribution width [Entitic volume] by Automated count",
                "Erythrocyte distribution width [Entitic volume] by Automated count",
            ),
            "fL",
            3900,
            4600,
            2,
        ),
        lab(
            "788-0",
            (
                "Erythrocyte distribution width [Ratio] by Automated count",
                "Erythrocyte distribution width [Ratio] by Automated count",
            ),
            "%",
            1120,
            1480,
            2,
        ),
        lab(
            "777-3",
            (
                "Platelets [#/volume] in Blood by Automated count",
                "Platelets [#/volume] in Blood by Automated count",
            ),
            "10*3/uL",
            15000,
            45000,
            2,
        ),
        lab(
            "32207-3",
            (
                "Platelet distribution width [Entitic volume] in Blood by Automated count",
                "Platelet distribution width [Entitic volume] in Blood by Automated count",
            ),
            "fL",
            930,
            1690,
            2,
        ),
        lab(
            "32623-1",
            (
                "Platelet mean volume [Entitic volume] in Blood by Automated count",
                "Platelet mean volume [Entitic volume] in Blood by Automated count",
            ),
            "fL",
            940,
            1230,
            2,
        ),
    ],
};

/// White cell differential.
pub(crate) const DIFFERENTIAL: Panel = Panel {
    code: loinc("57023-4", "Auto Differential panel - Blood"),
    labs: &[
        lab(
            "770-8",
            (
                "Neutrophils/100 leukocytes in Blood by Automated count",
                "Neutrophils/100 leukocytes in Blood by Automated count",
            ),
            "%",
            4000,
            7000,
            2,
        ),
        lab(
            "736-9",
            (
                "Lymphocytes/100 leukocytes in Blood by Automated count",
                "Lymphocytes/100 leukocytes in Blood by Automated count",
            ),
            "%",
            2000,
            4500,
            2,
        ),
        lab(
            "5905-5",
            (
                "Monocytes/100 leukocytes in Blood by Automated count",
                "Monocytes/100 leukocytes in Blood by Automated count",
            ),
            "%",
            200,
            1000,
            2,
        ),
        lab(
            "713-8",
            (
                "Eosinophils/100 leukocytes in Blood by Automated count",
                "Eosinophils/100 leukocytes in Blood by Automated count",
            ),
            "%",
            100,
            600,
            2,
        ),
        lab(
            "706-2",
            (
                "Basophils/100 leukocytes in Blood by Automated count",
                "Basophils/100 leukocytes in Blood by Automated count",
            ),
            "%",
            0,
            200,
            2,
        ),
        lab(
            "751-8",
            (
                "Neutrophils [#/volume] in Blood by Automated count",
                "Neutrophils [#/volume] in Blood by Automated count",
            ),
            "10*3/uL",
            180,
            770,
            2,
        ),
        lab(
            "731-0",
            (
                "Lymphocytes [#/volume] in Blood by Automated count",
                "Lymphocytes [#/volume] in Blood by Automated count",
            ),
            "10*3/uL",
            100,
            480,
            2,
        ),
        lab(
            "742-7",
            (
                "Monocytes [#/volume] in Blood by Automated count",
                "Monocytes [#/volume] in Blood by Automated count",
            ),
            "10*3/uL",
            20,
            100,
            2,
        ),
        lab(
            "711-2",
            (
                "Eosinophils [#/volume] in Blood by Automated count",
                "Eosinophils [#/volume] in Blood by Automated count",
            ),
            "10*3/uL",
            0,
            50,
            2,
        ),
        lab(
            "704-7",
            (
                "Basophils [#/volume] in Blood by Automated count",
                "Basophils [#/volume] in Blood by Automated count",
            ),
            "10*3/uL",
            0,
            20,
            2,
        ),
    ],
};

/// Lipid panel.
pub(crate) const LIPIDS: Panel = Panel {
    code: loinc("57698-3", "Lipid panel with direct LDL - Serum or Plasma"),
    labs: &[
        lab(
            "2093-3",
            ("Cholesterol [Mass/volume] in Serum or Plasma", "Total Cholesterol"),
            "mg/dL",
            12500,
            20000,
            2,
        ),
        lab(
            "2571-8",
            ("Triglyceride [Mass/volume] in Serum or Plasma", "Triglycerides"),
            "mg/dL",
            5000,
            15000,
            2,
        ),
        lab(
            "18262-6",
            (
                "Cholesterol in LDL [Mass/volume] in Serum or Plasma by Direct assay",
                "Low Density Lipoprotein Cholesterol",
            ),
            "mg/dL",
            5000,
            13000,
            2,
        ),
        lab(
            "2085-9",
            ("Cholesterol in HDL [Mass/volume] in Serum or Plasma", "High Density Lipoprotein Cholesterol"),
            "mg/dL",
            4000,
            8000,
            2,
        ),
    ],
};

/// Glycated haemoglobin, the measure of diabetes control.
pub(crate) const HBA1C: Lab =
    lab("4548-4", ("Hemoglobin A1c/Hemoglobin.total in Blood", "Hemoglobin A1c"), "%", 400, 560, 2);

/// A urine test and the SNOMED CT concepts that may be found.
#[derive(Debug)]
pub(crate) struct UrineTest {
    pub(crate) code: Code,
    pub(crate) findings: &'static [Code],
}

const fn urine(code: &'static str, display: &'static str, findings: &'static [Code]) -> UrineTest {
    UrineTest { code: loinc(code, display), findings }
}

const NOT_DETECTED: Code = snomed("260415000", "Not detected (qualifier value)");
const DETECTED: Code = snomed("260373001", "Detected (qualifier value)");

/// Dipstick urinalysis.
pub(crate) const URINALYSIS: &[UrineTest] = &[
    urine(
        "5778-6",
        "Color of Urine",
        &[
            snomed("720002008", "Yellow (qualifier value)"),
            snomed("720003003", "Brown color (qualifier value)"),
        ],
    ),
    urine(
        "5767-9",
        "Appearance of Urine",
        &[
            snomed("167236000", "Urine clear (finding)"),
            snomed("167238004", "Cloudy urine (finding)"),
            snomed("7766007", "Cloudy urine (finding)"),
        ],
    ),
    urine(
        "5792-7",
        "Glucose [Mass/volume] in Urine by Test strip",
        &[snomed("167261002", "Urine glucose test negative (finding)"), DETECTED],
    ),
    urine(
        "5797-6",
        "Ketones [Mass/volume] in Urine by Test strip",
        &[snomed("167287002", "Urine ketones not detected (finding)"), DETECTED],
    ),
    urine(
        "5804-0",
        "Protein [Mass/volume] in Urine by Test strip",
        &[snomed("167273002", "Urine protein test negative (finding)"), DETECTED],
    ),
    urine("5802-4", "Nitrite [Presence] in Urine by Test strip", &[NOT_DETECTED, DETECTED]),
    urine("5794-3", "Hemoglobin [Presence] in Urine by Test strip", &[NOT_DETECTED, DETECTED]),
    urine("5799-2", "Leukocyte esterase [Presence] in Urine by Test strip", &[NOT_DETECTED, DETECTED]),
];

/// A questionnaire with a total score from 0 to `most`.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) code: Code,
    pub(crate) most: i64,
}

/// Generalized anxiety, asked at length when the short form is high.
pub(crate) const GAD7: Survey = Survey {
    code: loinc("70274-6", "Generalized anxiety disorder 7 item (GAD-7) total score [Reported.PHQ]"),
    most: 21,
};

/// Scores of short questionnaires that are asked at check-ups.
pub(crate) const SURVEYS: &[Survey] = &[
    Survey {
        code: loinc("55758-7", "Patient Health Questionnaire 2 item (PHQ-2) total score [Reported]"),
        most: 6,
    },
    Survey {
        code: loinc("44261-6", "Patient Health Questionnaire 9 item (PHQ-9) total score [Reported]"),
        most: 27,
    },
    Survey { code: loinc("75626-2", "Total score [AUDIT-C]"), most: 12 },
    Survey { code: loinc("82667-7", "Total score [DAST-10]"), most: 10 },
    Survey { code: loinc("59460-6", "Fall risk total [Morse Fall Scale]"), most: 125 },
];
