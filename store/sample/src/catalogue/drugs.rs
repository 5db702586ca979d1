//! Drugs and how they are taken.

use crate::element::{Code, rxnorm};

/// A drug as prescribed.
#[derive(Debug)]
pub(crate) struct Drug {
    pub(crate) code: Code,
    /// Doses a day; 0 means when needed.
    pub(crate) daily: i64,
    /// Price of one prescription in cents.
    pub(crate) cents: i64,
}

const fn drug(code: &'static str, display: &'static str, daily: i64, cents: i64) -> Drug {
    Drug { code: rxnorm(code, display), daily, cents }
}

pub(super) const METFORMIN: Drug =
    drug("860975", "24 HR Metformin hydrochloride 500 MG Extended Release Oral Tablet", 1, 26_349);
pub(super) const METFORMIN_1000: Drug =
    drug("861004", "Metformin hydrochloride 1000 MG Oral Tablet", 2, 1_180);
pub(super) const INSULIN: Drug = drug(
    "106892",
    "insulin human, isophane 70 UNT/ML / Regular Insulin, Human 30 UNT/ML Injectable Suspension [Humulin]",
    2,
    13_610,
);
pub(super) const GLARGINE: Drug =
    drug("311041", "insulin glargine 100 UNT/ML Injectable Solution", 1, 28_400);
pub(super) const LIRAGLUTIDE: Drug = drug("897122", "3 ML liraglutide 6 MG/ML Pen Injector", 1, 61_200);
pub(super) const EMPAGLIFLOZIN: Drug = drug("1545653", "empagliflozin 10 MG Oral Tablet", 1, 49_000);
pub(super) const HYDROCHLOROTHIAZIDE: Drug =
    drug("310798", "Hydrochlorothiazide 25 MG Oral Tablet", 1, 26_311);
pub(super) const LISINOPRIL: Drug = drug("314076", "lisinopril 10 MG Oral Tablet", 1, 26_352);
pub(super) const LISINOPRIL_20: Drug = drug("314077", "lisinopril 20 MG Oral Tablet", 1, 1_420);
pub(super) const AMLODIPINE: Drug = drug("308136", "amLODIPine 2.5 MG Oral Tablet", 1, 26_307);
pub(super) const AMLODIPINE_5: Drug = drug("197361", "amLODIPine 5 MG Oral Tablet", 1, 1_240);
pub(super) const LOSARTAN: Drug = drug("979485", "losartan potassium 25 MG Oral Tablet", 1, 1_690);
pub(super) const METOPROLOL: Drug =
    drug("866412", "24 HR metoprolol succinate 100 MG Extended Release Oral Tablet", 1, 26_300);
pub(super) const ATENOLOL: Drug =
    drug("746030", "Atenolol 50 MG / Chlorthalidone 25 MG Oral Tablet", 1, 8_410);
pub(super) const FUROSEMIDE: Drug = drug("313988", "Furosemide 40 MG Oral Tablet", 1, 21_640);
pub(super) const SIMVASTATIN: Drug = drug("314231", "Simvastatin 10 MG Oral Tablet", 1, 26_308);
pub(super) const SIMVASTATIN_20: Drug = drug("312961", "Simvastatin 20 MG Oral Tablet", 1, 26_315);
pub(super) const ATORVASTATIN: Drug = drug("259255", "Atorvastatin 80 MG Oral Tablet", 1, 3_120);
pub(super) const CLOPIDOGREL: Drug = drug("309362", "Clopidogrel 75 MG Oral Tablet", 1, 26_318);
pub(super) const ASPIRIN: Drug = drug("243670", "Aspirin 81 MG Oral Tablet", 1, 410);
pub(super) const NITROGLYCERIN: Drug = drug("705129", "Nitroglycerin 0.4 MG/ACTUAT Mucosal Spray", 0, 26_330);
pub(super) const WARFARIN: Drug = drug("855332", "Warfarin Sodium 5 MG Oral Tablet", 1, 26_301);
pub(super) const APIXABAN: Drug = drug("1364445", "apixaban 5 MG Oral Tablet", 2, 52_900);
pub(super) const DIGOXIN: Drug = drug("197604", "Digoxin 0.125 MG Oral Tablet", 1, 26_320);
pub(super) const VERAPAMIL: Drug = drug("897718", "Verapamil Hydrochloride 40 MG", 3, 26_312);
pub(super) const ALBUTEROL: Drug =
    drug("745752", "200 ACTUAT Albuterol 0.09 MG/ACTUAT Metered Dose Inhaler [ProAir]", 0, 26_350);
pub(super) const ALBUTEROL_NEBULIZER: Drug =
    drug("245314", "Albuterol 5 MG/ML Inhalation Solution", 0, 26_317);
pub(super) const FLUTICASONE: Drug = drug(
    "895994",
    "120 ACTUAT fluticasone propionate 0.044 MG/ACTUAT Metered Dose Inhaler [Flovent]",
    2,
    26_344,
);
pub(super) const FLUTICASONE_SALMETEROL: Drug = drug(
    "896209",
    "60 ACTUAT Fluticasone propionate 0.25 MG/ACTUAT / salmeterol 0.05 MG/ACTUAT Dry Powder Inhaler",
    2,
    26_347,
);
pub(super) const TIOTROPIUM: Drug = drug("485032", "tiotropium 0.018 MG Inhalation Powder", 1, 43_100);
pub(super) const PREDNISONE: Drug = drug("312615", "predniSONE 20 MG Oral Tablet", 1, 910);
pub(super) const LORATADINE: Drug = drug("665078", "Loratadine 5 MG Chewable Tablet", 1, 2_710);
pub(super) const CETIRIZINE: Drug = drug("1014676", "cetirizine hydrochloride 5 MG Oral Tablet", 1, 2_680);
pub(super) const FEXOFENADINE: Drug =
    drug("997488", "Fexofenadine hydrochloride 30 MG Oral Tablet", 2, 2_690);
pub(super) const DIPHENHYDRAMINE: Drug =
    drug("1049630", "diphenhydrAMINE Hydrochloride 25 MG Oral Tablet", 0, 2_640);
pub(super) const EPINEPHRINE: Drug =
    drug("1870230", "NDA020800 0.3 ML Epinephrine 1 MG/ML Auto-Injector", 0, 23_420);
pub(super) const AMOXICILLIN: Drug = drug("308182", "Amoxicillin 250 MG Oral Capsule", 3, 2_730);
pub(super) const AMOXICILLIN_CLAVULANATE: Drug =
    drug("562251", "Amoxicillin 250 MG / Clavulanate 125 MG Oral Tablet", 3, 2_790);
pub(super) const PENICILLIN: Drug = drug("834061", "Penicillin V Potassium 250 MG Oral Tablet", 4, 2_760);
pub(super) const PENICILLIN_500: Drug = drug("834102", "Penicillin V Potassium 500 MG Oral Tablet", 4, 2_770);
pub(super) const AZITHROMYCIN: Drug = drug("308460", "Azithromycin 250 MG Oral Tablet", 1, 2_880);
pub(super) const CEFUROXIME: Drug = drug("309097", "Cefuroxime 250 MG Oral Tablet", 2, 2_870);
pub(super) const DOXYCYCLINE: Drug = drug("1649988", "doxycycline hyclate 100 MG Oral Tablet", 2, 3_100);
pub(super) const NITROFURANTOIN: Drug = drug("311989", "Nitrofurantoin 5 MG/ML Oral Suspension", 4, 2_820);
pub(super) const CIPROFLOXACIN: Drug = drug("309309", "ciprofloxacin 500 MG Oral Tablet", 2, 2_830);
pub(super) const PHENAZOPYRIDINE: Drug =
    drug("1094107", "Phenazopyridine hydrochloride 100 MG Oral Tablet", 3, 2_610);
pub(super) const ACETAMINOPHEN: Drug = drug("313782", "Acetaminophen 325 MG Oral Tablet", 0, 520);
pub(super) const CHILD_ACETAMINOPHEN: Drug = drug("282464", "Acetaminophen 160 MG Oral Tablet", 0, 560);
pub(super) const COLD_REMEDY: Drug = drug(
    "1043400",
    "Acetaminophen 21.7 MG/ML / Dextromethorphan Hydrobromide 1 MG/ML / doxylamine succinate 0.417 MG/ML Oral Solution",
    0,
    1_130,
);
pub(super) const IBUPROFEN: Drug = drug("310965", "Ibuprofen 200 MG Oral Tablet", 0, 610);
pub(super) const IBUPROFEN_400: Drug = drug("197805", "Ibuprofen 400 MG Oral Tablet [Ibu]", 0, 640);
pub(super) const NAPROXEN: Drug = drug("849574", "Naproxen sodium 220 MG Oral Tablet", 0, 690);
pub(super) const PANTOPRAZOLE: Drug =
    drug("314200", "pantoprazole 40 MG Delayed Release Oral Tablet", 1, 1_260);
pub(super) const OMEPRAZOLE: Drug = drug("198053", "omeprazole 20 MG Delayed Release Oral Tablet", 1, 1_330);
pub(super) const OXYCODONE: Drug = drug(
    "1049504",
    "Abuse-Deterrent 12 HR Oxycodone Hydrochloride 10 MG Extended Release Oral Tablet [Oxycontin]",
    2,
    11_930,
);
pub(super) const HYDROCODONE: Drug =
    drug("856987", "Acetaminophen 300 MG / HYDROcodone Bitartrate 5 MG Oral Tablet", 0, 3_240);
pub(super) const OXYCODONE_ACETAMINOPHEN: Drug =
    drug("1049221", "Acetaminophen 325 MG / Oxycodone Hydrochloride 5 MG Oral Tablet", 0, 3_280);
pub(super) const TRAMADOL: Drug = drug("835603", "tramadol hydrochloride 50 MG Oral Tablet", 0, 3_210);
pub(super) const SUMATRIPTAN: Drug = drug("313161", "SUMAtriptan 50 MG Oral Tablet", 0, 2_130);
pub(super) const FLUOXETINE: Drug = drug("310384", "FLUoxetine 10 MG Oral Capsule", 1, 1_150);
pub(super) const SERTRALINE: Drug = drug("312940", "sertraline 25 MG Oral Tablet", 1, 1_170);
pub(super) const ESCITALOPRAM: Drug = drug("349332", "escitalopram 10 MG Oral Tablet", 1, 1_210);
pub(super) const METHYLPHENIDATE: Drug =
    drug("1091392", "Methylphenidate Hydrochloride 20 MG Oral Tablet", 1, 2_650);
pub(super) const LEVOTHYROXINE: Drug = drug("966222", "Levothyroxine Sodium 0.075 MG Oral Tablet", 1, 1_430);
pub(super) const ALENDRONATE: Drug = drug("904419", "Alendronic acid 10 MG Oral Tablet", 1, 8_440);
pub(super) const DONEPEZIL: Drug = drug("997223", "Donepezil hydrochloride 10 MG Oral Tablet", 1, 8_730);
pub(super) const GALANTAMINE: Drug = drug("310436", "Galantamine 4 MG Oral Tablet", 2, 8_710);
pub(super) const MEMANTINE: Drug = drug("996740", "Memantine hydrochloride 2 MG/ML Oral Solution", 1, 26_360);
pub(super) const ALLOPURINOL: Drug = drug("197319", "Allopurinol 100 MG Oral Tablet", 1, 1_110);
pub(super) const COLCHICINE: Drug = drug("197541", "Colchicine 0.6 MG Oral Tablet", 1, 8_950);
pub(super) const METHOTREXATE: Drug = drug("105585", "Methotrexate 2.5 MG Oral Tablet", 1, 4_420);
pub(super) const HYDROCORTISONE: Drug = drug("106258", "Hydrocortisone 10 MG/ML Topical Cream", 2, 1_320);
pub(super) const TAMSULOSIN: Drug = drug("863671", "tamsulosin hydrochloride 0.4 MG Oral Capsule", 1, 1_510);
pub(super) const TAMOXIFEN: Drug = drug("198240", "Tamoxifen 10 MG Oral Tablet", 2, 4_320);
pub(super) const PACLITAXEL: Drug = drug("583214", "PACLitaxel 100 MG Injection", 1, 115_600);
pub(super) const LEUCOVORIN: Drug = drug("1803932", "Leucovorin 100 MG Injection", 1, 26_390);
pub(super) const CISPLATIN: Drug = drug("1736854", "Cisplatin 50 MG Injection", 1, 71_000);
pub(super) const CARBAMAZEPINE: Drug = drug("308979", "Carbamazepine[Tegretol]", 2, 19_200);
pub(super) const CLONAZEPAM: Drug = drug("197527", "clonazePAM 0.5 MG Oral Tablet", 0, 1_350);
pub(super) const FERROUS: Drug = drug("310325", "ferrous sulfate 325 MG Oral Tablet", 1, 640);
pub(super) const CYANOCOBALAMIN: Drug = drug("309594", "Vitamin B 12 5 MG/ML Injectable Solution", 1, 4_410);
pub(super) const ENOXAPARIN: Drug =
    drug("854235", "0.4 ML Enoxaparin sodium 100 MG/ML Prefilled Syringe", 1, 28_100);
