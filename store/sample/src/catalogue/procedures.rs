//! Procedures and imaging.

use crate::element::{Code, snomed};

const fn procedure(code: &'static str, display: &'static str, cents: i64) -> (Code, i64) {
    (snomed(code, display), cents)
}

/// A procedure and its price in cents.
pub(crate) type Procedure = (Code, i64);

pub(super) const THROAT_CULTURE: Procedure = procedure("117015009", "Throat culture (procedure)", 231_450);
pub(super) const SPIROMETRY: Procedure = procedure("127783003", "Spirometry (procedure)", 192_210);
pub(super) const FOOT_EXAM: Procedure =
    procedure("401191002", "Diabetic foot examination (procedure)", 8_400);
pub(super) const EYE_EXAM: Procedure =
    procedure("252779009", "Single bright white flash electroretinography", 32_100);
pub(super) const RETINAL_PHOTO: Procedure = procedure("314971001", "Camera fundoscopy (procedure)", 17_900);
pub(super) const SUTURE: Procedure = procedure("288086009", "Suture open wound", 310_020);
pub(super) const BONE_SPLINT: Procedure = procedure("274474001", "Bone immobilization", 57_200);
pub(super) const CAST: Procedure = procedure("79321009", "Application of splint (procedure)", 46_700);
pub(super) const PHYSIOTHERAPY: Procedure =
    procedure("91251008", "Physical therapy procedure (regime/therapy)", 24_500);
pub(super) const CARDIOVERSION: Procedure = procedure("180325003", "Electrical cardioversion", 1_894_790);
pub(super) const ECHO: Procedure = procedure("40701008", "Echocardiography (procedure)", 98_300);
pub(super) const ECG: Procedure = procedure("29303009", "Electrocardiographic procedure", 12_800);
pub(super) const STENT: Procedure = procedure("415070008", "Percutaneous coronary intervention", 2_412_300);
pub(super) const DIALYSIS: Procedure = procedure("265764009", "Renal dialysis (procedure)", 108_400);
pub(super) const IMMUNOTHERAPY: Procedure = procedure("180256009", "Subcutaneous immunotherapy", 173_140);
pub(super) const ALLERGY_SCREEN: Procedure = procedure("395142003", "Allergy screening test", 29_310);
pub(super) const DEPRESSION_SCREEN: Procedure = procedure("171207006", "Depression screening", 51_660);
pub(super) const PSYCHOTHERAPY: Procedure =
    procedure("228557008", "Cognitive and behavioral therapy (regime/therapy)", 19_700);
pub(super) const CHEST_XRAY: Procedure = procedure("399208008", "Plain chest X-ray (procedure)", 51_660);
pub(super) const OXYGEN: Procedure =
    procedure("371908008", "Oxygen administration by mask (procedure)", 51_660);
pub(super) const COLONOSCOPY: Procedure = procedure("73761001", "Colonoscopy", 1_210_550);
pub(super) const POLYPECTOMY: Procedure = procedure("274031008", "Rectal polypectomy", 1_198_240);
pub(super) const OCCULT_BLOOD: Procedure =
    procedure("104435004", "Screening for occult blood in feces (procedure)", 9_200);
pub(super) const MAMMOGRAM: Procedure = procedure("24623002", "Screening mammography (procedure)", 23_600);
pub(super) const BREAST_BIOPSY: Procedure = procedure("122548005", "Biopsy of breast (procedure)", 401_200);
pub(super) const LUMPECTOMY: Procedure =
    procedure("392021009", "Lumpectomy of breast (procedure)", 1_504_300);
pub(super) const CHEMOTHERAPY: Procedure = procedure("367336001", "Chemotherapy (procedure)", 1_131_600);
pub(super) const RADIATION: Procedure =
    procedure("385798007", "Radiation therapy care (regime/therapy)", 51_665);
pub(super) const APPENDECTOMY: Procedure = procedure("80146002", "Appendectomy", 1_291_770);
pub(super) const CHOLECYSTECTOMY: Procedure = procedure("38102005", "Cholecystectomy (procedure)", 1_404_100);
pub(super) const KNEE_REPLACEMENT: Procedure =
    procedure("609588000", "Total knee replacement (procedure)", 2_814_000);
pub(super) const SPUTUM: Procedure = procedure("167995008", "Sputum microscopy (procedure)", 17_400);
pub(super) const PREGNANCY_TEST: Procedure = procedure("252160004", "Standard pregnancy test", 51_660);
pub(super) const PREGNANCY_SCREENS: &[Procedure] = &[
    procedure("169230002", "Ultrasound scan for fetal viability", 51_660),
    procedure("274804006", "Evaluation of uterine fundal height", 51_660),
    procedure("225158009", "Auscultation of the fetal heart", 51_660),
    procedure("44608003", "Blood group typing (procedure)", 51_660),
    procedure("47758006", "Hepatitis B surface antigen measurement (procedure)", 51_660),
    procedure("31676001", "Human immunodeficiency virus antigen test", 51_660),
    procedure("310861008", "Chlamydia antigen test", 51_660),
    procedure("165829005", "Gonorrhea infection test", 51_660),
    procedure("269828009", "Syphilis infectious titer test", 51_660),
    procedure("117010004", "Urine culture", 51_660),
    procedure("395123002", "Urine screening test for diabetes", 51_660),
    procedure("104375008", "Hepatitis C antibody test", 51_660),
    procedure("169690007", "Rubella screening", 51_660),
    procedure("104326007", "Measurement of Varicella-zoster virus antibody", 51_660),
    procedure("28163009", "Skin test for tuberculosis", 51_660),
    procedure("167271000", "Urine protein test", 51_660),
    procedure("443529005", "Screening for chromosomal aneuploidy in prenatal amniotic fluid", 51_660),
    procedure("275833003", "Alpha-fetoprotein test", 51_660),
    procedure("268556000", "Urine screening for glucose", 51_660),
    procedure("118001005", "Streptococcus pneumoniae group B antigen test", 51_660),
];
pub(super) const DELIVERY: Procedure = procedure("66348005", "Childbirth", 763_400);
pub(super) const EPIDURAL: Procedure = procedure("18946005", "Epidural anesthesia", 75_100);

/// Procedures that may be done at any check-up, with their prices in cents.
pub(crate) const PROCEDURES: &[Procedure] = &[
    procedure("430193006", "Medication Reconciliation (procedure)", 51_652),
    procedure("710824005", "Assessment of health and social care needs (procedure)", 43_130),
    procedure("710841007", "Assessment of anxiety (procedure)", 43_130),
    DEPRESSION_SCREEN,
    procedure("866148006", "Screening for domestic abuse (procedure)", 43_130),
    procedure("428211000124100", "Assessment of substance use (procedure)", 43_130),
    procedure(
        "763302001",
        "Assessment using Alcohol Use Disorders Identification Test - Consumption (procedure)",
        43_130,
    ),
    procedure("428191000124101", "Documentation of current medications", 34_300),
    procedure(
        "454711000124102",
        "Depression screening using Patient Health Questionnaire Two-Item score (procedure)",
        43_130,
    ),
    procedure("762993000", "Assessment using Morse Fall Scale (procedure)", 43_130),
    procedure("225885004", "Health assessment (procedure)", 9_100),
];

/// An imaging study of one body site.
#[derive(Debug)]
pub(crate) struct Imaging {
    pub(crate) procedure: Procedure,
    /// DICOM modality code and name.
    pub(crate) modality: (&'static str, &'static str),
    pub(crate) body_site: Code,
    /// DICOM SOP class and title of the images.
    pub(crate) images: (&'static str, &'static str),
}

const fn x_ray(study: Procedure, body_site: Code, title: &'static str) -> Imaging {
    Imaging {
        procedure: study,
        modality: ("DX", "Digital Radiography"),
        body_site,
        images: ("1.2.840.10008.5.1.4.1.1.1.1", title),
    }
}

pub(super) const CHEST_IMAGE: usize = 0;
pub(super) const ANKLE_IMAGE: usize = 1;
pub(super) const WRIST_IMAGE: usize = 2;
pub(super) const ARM_IMAGE: usize = 3;
pub(super) const KNEE_IMAGE: usize = 4;
pub(super) const CLAVICLE_IMAGE: usize = 5;
pub(super) const HEART_IMAGE: usize = 6;
pub(super) const HEAD_IMAGE: usize = 7;
pub(super) const BREAST_IMAGE: usize = 8;

/// Imaging studies, referred to by index.
pub(crate) const IMAGING: &[Imaging] = &[
    x_ray(CHEST_XRAY, snomed("51185008", "Thoracic structure (body structure)"), "Plain X-ray of chest"),
    x_ray(procedure("19490002", "Ankle X-ray", 51_665), snomed("344001", "Ankle"), "Plain X-ray of ankle"),
    x_ray(
        procedure("60027007", "Radiography of wrist", 51_665),
        snomed("8205005", "Wrist"),
        "Plain X-ray of wrist",
    ),
    x_ray(
        procedure("1225002", "Upper arm X-ray", 51_665),
        snomed("40983000", "Upper arm structure (body structure)"),
        "Plain X-ray of upper arm",
    ),
    x_ray(
        procedure("74016001", "Radiologic examination of knee", 51_665),
        snomed("72696002", "Knee"),
        "Plain X-ray of knee",
    ),
    x_ray(
        procedure("168594001", "Clavicle X-ray", 51_665),
        snomed("51299004", "Clavicle"),
        "Plain X-ray of clavicle",
    ),
    Imaging {
        procedure: procedure("433236007", "Transthoracic echocardiography", 51_665),
        modality: ("US", "Ultrasound"),
        body_site: snomed("80891009", "Heart structure (body structure)"),
        images: ("1.2.840.10008.5.1.4.1.1.6.1", "Transthoracic echocardiography"),
    },
    Imaging {
        procedure: procedure("303653007", "Computed tomography of head (procedure)", 91_300),
        modality: ("CT", "Computed Tomography"),
        body_site: snomed("69536005", "Head structure (body structure)"),
        images: ("1.2.840.10008.5.1.4.1.1.2", "Axial slices of the head"),
    },
    Imaging {
        procedure: MAMMOGRAM,
        modality: ("MG", "Mammography"),
        body_site: snomed("76752008", "Breast structure (body structure)"),
        images: ("1.2.840.10008.5.1.4.1.1.1.2", "Screening mammogram"),
    },
];
