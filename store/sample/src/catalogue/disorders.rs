//! Disorders with the care that they get.

use super::drugs::*;
use super::labs::{BASIC_PANEL, BLOOD_COUNT, DIFFERENTIAL, KIDNEY, LIPIDS, Panel};
use super::procedures::*;
use crate::element::{Code, snomed};

/// How long a disorder lasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Course {
    /// Passes after some days of this range.
    Acute(i64, i64),
    /// Stays, with this number of visits a year.
    Chronic(i64),
}

/// A disorder and the care that it gets.
#[derive(Debug)]
pub(crate) struct Disorder {
    pub(crate) code: Code,
    pub(crate) course: Course,
    /// Years of age in which it begins.
    pub(crate) ages: (i64, i64),
    /// Chronic: percent of people who get it; acute: times in ten thousand years of life.
    pub(crate) frequency: i64,
    /// What the visit is called; `None` is an encounter for the problem.
    pub(crate) emergency: bool,
    pub(crate) drugs: &'static [Drug],
    pub(crate) procedures: &'static [Procedure],
    pub(crate) panels: &'static [&'static Panel],
    /// Index into [`super::IMAGING`].
    pub(crate) imaging: Option<usize>,
    /// The care plan's category and its activities.
    pub(crate) plan: Option<&'static (Code, &'static [Code])>,
    pub(crate) goals: &'static [&'static str],
}

const fn acute(code: &'static str, display: &'static str, frequency: i64) -> Disorder {
    Disorder {
        code: snomed(code, display),
        course: Course::Acute(7, 28),
        ages: (1, 100),
        frequency,
        emergency: false,
        drugs: &[],
        procedures: &[],
        panels: &[],
        imaging: None,
        plan: None,
        goals: &[],
    }
}

const fn chronic(
    code: &'static str,
    display: &'static str,
    frequency: i64,
    ages: (i64, i64),
    visits: i64,
) -> Disorder {
    Disorder { course: Course::Chronic(visits), ages, ..acute(code, display, frequency) }
}

type Plan = (Code, &'static [Code]);

const DIABETES_PLAN: Plan = (
    snomed("698360004", "Diabetes self management plan"),
    &[snomed("160670007", "Diabetic diet"), snomed("229065009", "Exercise therapy")],
);
const LIFESTYLE_PLAN: Plan = (
    snomed("443402002", "Lifestyle education regarding hypertension"),
    &[
        snomed("386463000", "Prescribed activity/exercise education"),
        snomed("413473000", "Counseling about alcohol consumption"),
        snomed("1151000175103", "Dietary approaches to stop hypertension diet"),
        snomed("225323000", "Smoking cessation education"),
    ],
);
const ASTHMA_PLAN: Plan = (
    snomed("699728000", "Asthma self management"),
    &[
        snomed("710081004", "Smoking cessation therapy (regime/therapy)"),
        snomed("315043002", "Inhaler technique education"),
    ],
);
const RESPIRATORY_PLAN: Plan = (
    snomed("53950000", "Respiratory therapy"),
    &[
        snomed("304510005", "Recommendation to avoid exercise"),
        snomed("371605008", "Deep breathing and coughing exercises"),
    ],
);
const FRACTURE_PLAN: Plan = (
    snomed("385691007", "Fracture care"),
    &[
        snomed("183051005", "Recommendation to rest"),
        snomed("408580007", "Physical activity target light exercise"),
    ],
);
const WOUND_PLAN: Plan = (
    snomed("225358003", "Wound care"),
    &[
        snomed("385949008", "Dressing change management"),
        snomed("439830001", "Behavior to prevent infection"),
    ],
);
const SPRAIN_PLAN: Plan = (
    snomed("91251008", "Physical therapy procedure"),
    &[
        snomed("183051005", "Recommendation to rest"),
        snomed("229070002", "Stretching exercises"),
        snomed("229586001", "Rest, ice, compression and elevation treatment programme"),
    ],
);
const INFECTION_PLAN: Plan = (
    snomed("869761000000107", "Urinary tract infection care"),
    &[
        snomed("223472008", "Discussion about hygiene"),
        snomed("171245007", "Education about increasing fluid intake"),
    ],
);
const SKIN_PLAN: Plan = (
    snomed("225130001", "Skin care"),
    &[
        snomed("836361000000105", "Recommendation to avoid exposure to irritants"),
        snomed("58332002", "Allergy education"),
    ],
);
const ISOLATION_PLAN: Plan = (
    snomed("736376001", "Infectious disease care plan (record artifact)"),
    &[snomed("409524006", "Airborne precautions"), snomed("361235007", "Isolation of infected patient")],
);
const MENTAL_PLAN: Plan = (
    snomed("385893007", "Depression care (regime/therapy)"),
    &[
        snomed("183301007", "Physical exercises"),
        snomed("228557008", "Cognitive and behavioral therapy (regime/therapy)"),
        snomed("276239002", "Therapy"),
    ],
);
const HEAD_PLAN: Plan = (
    snomed("47387005", "Head injury rehabilitation"),
    &[
        snomed("183051005", "Recommendation to rest"),
        snomed("226138001", "Alcohol-free diet"),
        snomed("304510005", "Recommendation to avoid exercise"),
    ],
);
const CANCER_PLAN: Plan = (
    snomed("395082007", "Cancer care plan (record artifact)"),
    &[snomed("243072006", "Cancer education"), snomed("409026004", "Nutritional support")],
);
const PREGNANCY_PLAN: Plan = (
    snomed("134435003", "Routine antenatal care"),
    &[
        snomed("135892000", "Antenatal education"),
        snomed("713076009", "Antenatal risk assessment"),
        snomed("312404004", "Antenatal blood tests"),
    ],
);

/// What pregnancy gets, beside its own timeline.
pub(crate) struct Pregnancy {
    pub(crate) code: Code,
    pub(crate) visit: Code,
    pub(crate) birth_visit: Code,
    pub(crate) test: Procedure,
    pub(crate) screens: &'static [Procedure],
    pub(crate) delivery: Procedure,
    pub(crate) epidural: Procedure,
    pub(crate) plan: &'static (Code, &'static [Code]),
}

/// Pregnancy, visits and birth.
pub(crate) const PREGNANCY: Pregnancy = Pregnancy {
    code: snomed("72892002", "Normal pregnancy"),
    visit: snomed("424441002", "Prenatal initial visit"),
    birth_visit: snomed("183460006", "Obstetric emergency hospital admission"),
    test: PREGNANCY_TEST,
    screens: PREGNANCY_SCREENS,
    delivery: DELIVERY,
    epidural: EPIDURAL,
    plan: &PREGNANCY_PLAN,
};

/// All disorders.
pub(crate) const DISORDERS: &[Disorder] = &[
    // Infections and other short illnesses.
    Disorder { course: Course::Acute(14, 28), ..acute("444814009", "Viral sinusitis (disorder)", 700) },
    Disorder {
        ages: (3, 45),
        drugs: &[PENICILLIN, CHILD_ACETAMINOPHEN],
        procedures: &[THROAT_CULTURE],
        ..acute("195662009", "Acute viral pharyngitis (disorder)", 450)
    },
    Disorder {
        drugs: &[COLD_REMEDY],
        procedures: &[SPIROMETRY],
        plan: Some(&RESPIRATORY_PLAN),
        ..acute("10509002", "Acute bronchitis (disorder)", 450)
    },
    Disorder {
        ages: (3, 30),
        drugs: &[PENICILLIN_500],
        procedures: &[THROAT_CULTURE],
        ..acute("43878008", "Streptococcal sore throat (disorder)", 150)
    },
    Disorder { ages: (1, 12), drugs: &[AMOXICILLIN, IBUPROFEN], ..acute("65363002", "Otitis media", 900) },
    Disorder {
        drugs: &[AMOXICILLIN_CLAVULANATE],
        ..acute("75498004", "Acute bacterial sinusitis (disorder)", 90)
    },
    Disorder { drugs: &[ACETAMINOPHEN], ..acute("36971009", "Sinusitis (disorder)", 90) },
    Disorder {
        drugs: &[NITROFURANTOIN, PHENAZOPYRIDINE],
        ages: (15, 95),
        panels: &[],
        plan: Some(&INFECTION_PLAN),
        ..acute("307426000", "Acute infective cystitis (disorder)", 140)
    },
    Disorder {
        drugs: &[CIPROFLOXACIN],
        ages: (15, 95),
        plan: Some(&INFECTION_PLAN),
        ..acute("68566005", "Urinary tract infectious disease (disorder)", 60)
    },
    Disorder {
        drugs: &[AZITHROMYCIN],
        emergency: true,
        panels: &[&BLOOD_COUNT, &BASIC_PANEL],
        imaging: Some(CHEST_IMAGE),
        procedures: &[OXYGEN, SPUTUM],
        plan: Some(&RESPIRATORY_PLAN),
        ..acute("233604007", "Pneumonia (disorder)", 50)
    },
    Disorder {
        course: Course::Acute(10, 35),
        emergency: true,
        drugs: &[ACETAMINOPHEN, ENOXAPARIN],
        panels: &[&BLOOD_COUNT, &DIFFERENTIAL, &KIDNEY],
        procedures: &[OXYGEN],
        imaging: Some(CHEST_IMAGE),
        plan: Some(&ISOLATION_PLAN),
        ..acute(
            "840539006",
            "Disease caused by severe acute respiratory syndrome coronavirus 2 (disorder)",
            70,
        )
    },
    acute("6142004", "Influenza (disorder)", 120),
    acute("25374005", "Gastroenteritis (disorder)", 180),
    acute("386661006", "Fever (finding)", 120),
    acute("49727002", "Cough (finding)", 120),
    acute("271825005", "Respiratory distress (finding)", 20),
    acute("267036007", "Dyspnea (finding)", 25),
    acute("56018004", "Wheezing (finding)", 20),
    acute("84229001", "Fatigue (finding)", 60),
    acute("25064002", "Headache (finding)", 90),
    acute("68962001", "Muscle pain (finding)", 40),
    acute("57676002", "Joint pain (finding)", 40),
    acute("422587007", "Nausea (finding)", 40),
    acute("73595000", "Stress (finding)", 300),
    acute("160903007", "Full-time employment (finding)", 250),
    acute("160904001", "Part-time employment (finding)", 90),
    acute("73438004", "Unemployed (finding)", 50),
    acute("422650009", "Social isolation (finding)", 50),
    acute("423315002", "Limited social contact (finding)", 60),
    Disorder { drugs: &[DOXYCYCLINE], ..acute("23502006", "Lyme disease (disorder)", 10) },
    Disorder {
        ages: (5, 60),
        emergency: true,
        drugs: &[HYDROCODONE],
        procedures: &[APPENDECTOMY],
        panels: &[&BLOOD_COUNT],
        ..acute("74400008", "Appendicitis", 12)
    },
    Disorder {
        ages: (25, 80),
        emergency: true,
        drugs: &[OXYCODONE_ACETAMINOPHEN],
        procedures: &[CHOLECYSTECTOMY],
        panels: &[&KIDNEY],
        ..acute("65275009", "Acute Cholecystitis", 12)
    },
    // Injuries.
    Disorder {
        course: Course::Acute(14, 42),
        drugs: &[IBUPROFEN],
        plan: Some(&SPRAIN_PLAN),
        imaging: Some(ANKLE_IMAGE),
        ..acute("44465007", "Sprain of ankle", 120)
    },
    Disorder {
        course: Course::Acute(14, 42),
        drugs: &[NAPROXEN],
        plan: Some(&SPRAIN_PLAN),
        ..acute("70704007", "Sprain of wrist", 60)
    },
    Disorder {
        course: Course::Acute(14, 56),
        drugs: &[NAPROXEN],
        procedures: &[PHYSIOTHERAPY],
        ..acute("39848009", "Whiplash injury to neck", 50)
    },
    Disorder {
        course: Course::Acute(30, 90),
        emergency: true,
        drugs: &[OXYCODONE_ACETAMINOPHEN, ACETAMINOPHEN],
        procedures: &[BONE_SPLINT, CAST],
        imaging: Some(WRIST_IMAGE),
        plan: Some(&FRACTURE_PLAN),
        ..acute("263102004", "Fracture subluxation of wrist", 30)
    },
    Disorder {
        course: Course::Acute(30, 90),
        emergency: true,
        drugs: &[HYDROCODONE, NAPROXEN],
        procedures: &[BONE_SPLINT],
        imaging: Some(ARM_IMAGE),
        plan: Some(&FRACTURE_PLAN),
        ..acute("65966004", "Fracture of forearm", 30)
    },
    Disorder {
        course: Course::Acute(30, 90),
        emergency: true,
        drugs: &[HYDROCODONE, IBUPROFEN_400],
        procedures: &[BONE_SPLINT],
        imaging: Some(CLAVICLE_IMAGE),
        plan: Some(&FRACTURE_PLAN),
        ..acute("58150001", "Fracture of clavicle", 20)
    },
    Disorder {
        course: Course::Acute(30, 90),
        emergency: true,
        drugs: &[TRAMADOL],
        procedures: &[BONE_SPLINT],
        imaging: Some(ANKLE_IMAGE),
        plan: Some(&FRACTURE_PLAN),
        ..acute("16114001", "Fracture of ankle", 25)
    },
    Disorder {
        course: Course::Acute(10, 30),
        emergency: true,
        drugs: &[ACETAMINOPHEN],
        procedures: &[SUTURE],
        plan: Some(&WOUND_PLAN),
        ..acute("283371005", "Laceration of forearm", 35)
    },
    Disorder {
        course: Course::Acute(10, 30),
        emergency: true,
        procedures: &[SUTURE],
        plan: Some(&WOUND_PLAN),
        ..acute("284549007", "Laceration of hand", 35)
    },
    Disorder {
        course: Course::Acute(10, 30),
        procedures: &[SUTURE],
        plan: Some(&WOUND_PLAN),
        ..acute("284551006", "Laceration of foot", 30)
    },
    Disorder {
        course: Course::Acute(10, 40),
        emergency: true,
        drugs: &[IBUPROFEN],
        plan: Some(&WOUND_PLAN),
        ..acute("403190006", "First degree burn", 15)
    },
    Disorder {
        course: Course::Acute(20, 60),
        emergency: true,
        drugs: &[ACETAMINOPHEN],
        imaging: Some(HEAD_IMAGE),
        plan: Some(&HEAD_PLAN),
        ..acute("62106007", "Concussion with no loss of consciousness", 30)
    },
    Disorder {
        course: Course::Acute(30, 120),
        drugs: &[NAPROXEN],
        imaging: Some(KNEE_IMAGE),
        procedures: &[PHYSIOTHERAPY],
        ..acute("444470001", "Injury of anterior cruciate ligament", 15)
    },
    // Long illnesses.
    Disorder {
        drugs: &[METFORMIN, METFORMIN_1000, INSULIN, GLARGINE, LIRAGLUTIDE, EMPAGLIFLOZIN],
        procedures: &[FOOT_EXAM, EYE_EXAM, RETINAL_PHOTO],
        panels: &[&KIDNEY, &LIPIDS],
        plan: Some(&DIABETES_PLAN),
        goals: &[
            "Hemoglobin A1c total in Blood < 7.0",
            "Glucose [Mass/volume] in Blood < 108",
            "Blood Pressure below 140/90 mm Hg",
            "Improve and maintenance of optimal foot health",
        ],
        ..chronic("44054006", "Diabetes mellitus type 2 (disorder)", 12, (35, 75), 3)
    },
    Disorder {
        panels: &[&BASIC_PANEL],
        plan: Some(&DIABETES_PLAN),
        goals: &["Reduce fasting glucose"],
        ..chronic("714628002", "Prediabetes (finding)", 14, (30, 70), 1)
    },
    Disorder {
        drugs: &[
            HYDROCHLOROTHIAZIDE,
            LISINOPRIL,
            LISINOPRIL_20,
            AMLODIPINE,
            AMLODIPINE_5,
            LOSARTAN,
            METOPROLOL,
            ATENOLOL,
        ],
        procedures: &[ECG],
        panels: &[&BASIC_PANEL, &LIPIDS],
        plan: Some(&LIFESTYLE_PLAN),
        goals: &["Maintain blood pressure below 140/90 mm Hg", "Reduce sodium intake"],
        ..chronic("59621000", "Essential hypertension (disorder)", 28, (25, 75), 2)
    },
    Disorder {
        drugs: &[SIMVASTATIN, SIMVASTATIN_20, ATORVASTATIN],
        panels: &[&LIPIDS],
        ..chronic("55822004", "Hyperlipidemia (disorder)", 20, (30, 70), 1)
    },
    Disorder {
        plan: Some(&LIFESTYLE_PLAN),
        goals: &["Reduce body weight by 5 percent"],
        ..chronic("162864005", "Body mass index 30+ - obesity (finding)", 25, (18, 70), 1)
    },
    Disorder {
        drugs: &[ALBUTEROL, FLUTICASONE],
        procedures: &[SPIROMETRY],
        plan: Some(&ASTHMA_PLAN),
        goals: &["Control of asthma symptoms without night waking"],
        ..chronic("195967001", "Asthma (disorder)", 8, (2, 40), 2)
    },
    Disorder {
        drugs: &[ALBUTEROL_NEBULIZER],
        plan: Some(&ASTHMA_PLAN),
        ..chronic("233678006", "Childhood asthma (disorder)", 6, (1, 12), 2)
    },
    Disorder {
        drugs: &[FLUTICASONE_SALMETEROL, TIOTROPIUM, PREDNISONE],
        procedures: &[SPIROMETRY, OXYGEN],
        plan: Some(&RESPIRATORY_PLAN),
        ..chronic("13645005", "Chronic obstructive lung disease (disorder)", 6, (50, 80), 2)
    },
    Disorder {
        drugs: &[CETIRIZINE, LORATADINE],
        procedures: &[IMMUNOTHERAPY],
        ..chronic("446096008", "Perennial allergic rhinitis", 6, (2, 30), 4)
    },
    Disorder {
        drugs: &[HYDROCORTISONE, FEXOFENADINE],
        plan: Some(&SKIN_PLAN),
        ..chronic("24079001", "Atopic dermatitis (disorder)", 7, (1, 10), 1)
    },
    Disorder {
        drugs: &[CLOPIDOGREL, SIMVASTATIN_20, NITROGLYCERIN, ASPIRIN, METOPROLOL],
        procedures: &[ECG, ECHO, STENT],
        panels: &[&BLOOD_COUNT, &LIPIDS],
        imaging: Some(HEART_IMAGE),
        plan: Some(&LIFESTYLE_PLAN),
        ..chronic("53741008", "Coronary Heart Disease", 7, (45, 85), 2)
    },
    Disorder {
        drugs: &[WARFARIN, VERAPAMIL, DIGOXIN, APIXABAN],
        procedures: &[CARDIOVERSION, ECG],
        panels: &[&BASIC_PANEL],
        ..chronic("49436004", "Atrial Fibrillation", 5, (55, 90), 3)
    },
    Disorder {
        drugs: &[FUROSEMIDE, LISINOPRIL, METOPROLOL],
        procedures: &[ECHO],
        panels: &[&KIDNEY, &BLOOD_COUNT],
        imaging: Some(HEART_IMAGE),
        ..chronic("88805009", "Chronic congestive heart failure (disorder)", 4, (60, 90), 4)
    },
    Disorder {
        panels: &[&KIDNEY],
        drugs: &[LOSARTAN],
        procedures: &[DIALYSIS],
        ..chronic("433144002", "Chronic kidney disease stage 3 (disorder)", 5, (50, 85), 3)
    },
    Disorder {
        panels: &[&BLOOD_COUNT, &DIFFERENTIAL],
        drugs: &[FERROUS, CYANOCOBALAMIN],
        ..chronic("271737000", "Anemia (disorder)", 9, (10, 90), 1)
    },
    Disorder {
        drugs: &[LEVOTHYROXINE],
        panels: &[&BASIC_PANEL],
        ..chronic("83986005", "Idiopathic atrophic hypothyroidism", 5, (25, 75), 1)
    },
    Disorder {
        drugs: &[FLUOXETINE, SERTRALINE, ESCITALOPRAM],
        procedures: &[DEPRESSION_SCREEN, PSYCHOTHERAPY],
        plan: Some(&MENTAL_PLAN),
        goals: &["Improved mood and fewer depressive symptoms"],
        ..chronic("370143000", "Major depressive disorder (disorder)", 9, (14, 70), 4)
    },
    Disorder {
        drugs: &[SERTRALINE, CLONAZEPAM],
        procedures: &[PSYCHOTHERAPY],
        plan: Some(&MENTAL_PLAN),
        ..chronic("80583007", "Severe anxiety (panic) (finding)", 6, (14, 60), 2)
    },
    Disorder {
        drugs: &[METHYLPHENIDATE],
        ..chronic("192127007", "Child attention deficit disorder", 5, (5, 12), 2)
    },
    Disorder {
        drugs: &[SUMATRIPTAN],
        ..chronic("124171000119105", "Chronic intractable migraine without aura", 8, (15, 50), 2)
    },
    Disorder { drugs: &[CARBAMAZEPINE], ..chronic("84757009", "Epilepsy (disorder)", 2, (2, 40), 2) },
    Disorder {
        drugs: &[NAPROXEN, OXYCODONE],
        procedures: &[PHYSIOTHERAPY, KNEE_REPLACEMENT],
        imaging: Some(KNEE_IMAGE),
        ..chronic("239873007", "Osteoarthritis of knee", 11, (45, 85), 1)
    },
    Disorder {
        drugs: &[METHOTREXATE],
        panels: &[&BLOOD_COUNT],
        ..chronic("69896004", "Rheumatoid arthritis (disorder)", 2, (30, 70), 2)
    },
    Disorder { drugs: &[ALLOPURINOL, COLCHICINE], ..chronic("90560007", "Gout", 4, (35, 80), 1) },
    Disorder { drugs: &[ALENDRONATE], ..chronic("64859006", "Osteoporosis (disorder)", 8, (55, 90), 1) },
    Disorder {
        drugs: &[OMEPRAZOLE, PANTOPRAZOLE],
        ..chronic("235595009", "Gastroesophageal reflux disease (disorder)", 12, (20, 80), 1)
    },
    Disorder {
        drugs: &[TAMSULOSIN],
        ..chronic("266569009", "Benign prostatic hyperplasia (disorder)", 6, (50, 85), 1)
    },
    Disorder {
        drugs: &[DONEPEZIL, GALANTAMINE, MEMANTINE],
        ..chronic("26929004", "Alzheimer's disease (disorder)", 4, (65, 95), 3)
    },
    Disorder { drugs: &[DIPHENHYDRAMINE], ..chronic("193462001", "Insomnia (disorder)", 6, (20, 80), 1) },
    chronic("278860009", "Chronic low back pain (finding)", 9, (25, 75), 1),
    chronic("73430006", "Sleep apnea (disorder)", 6, (30, 70), 1),
    // Cancers and what screening finds.
    Disorder {
        procedures: &[COLONOSCOPY, POLYPECTOMY, OCCULT_BLOOD],
        ..chronic("68496003", "Polyp of colon", 8, (50, 80), 1)
    },
    Disorder {
        drugs: &[TAMOXIFEN, PACLITAXEL],
        procedures: &[MAMMOGRAM, BREAST_BIOPSY, LUMPECTOMY, RADIATION, CHEMOTHERAPY],
        panels: &[&BLOOD_COUNT, &KIDNEY],
        imaging: Some(BREAST_IMAGE),
        plan: Some(&CANCER_PLAN),
        ..chronic("254837009", "Malignant neoplasm of breast (disorder)", 3, (40, 80), 5)
    },
    Disorder {
        drugs: &[LEUCOVORIN],
        procedures: &[COLONOSCOPY, CHEMOTHERAPY],
        panels: &[&BLOOD_COUNT, &KIDNEY],
        plan: Some(&CANCER_PLAN),
        ..chronic("363406005", "Malignant tumor of colon", 2, (50, 85), 5)
    },
    Disorder {
        drugs: &[CISPLATIN, PACLITAXEL],
        procedures: &[RADIATION, CHEMOTHERAPY],
        panels: &[&BLOOD_COUNT],
        imaging: Some(CHEST_IMAGE),
        plan: Some(&CANCER_PLAN),
        ..chronic("254637007", "Non-small cell lung cancer (disorder)", 2, (50, 85), 5)
    },
    Disorder {
        drugs: &[EPINEPHRINE, DIPHENHYDRAMINE],
        procedures: &[ALLERGY_SCREEN],
        ..chronic("232347008", "Dander (animal) allergy", 6, (1, 25), 1)
    },
    Disorder { drugs: &[CEFUROXIME], ..acute("36689008", "Acute pyelonephritis (disorder)", 15) },
];
