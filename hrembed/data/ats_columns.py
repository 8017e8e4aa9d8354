"""Usual names of columns in exports of applicant-tracking systems; `docs/data.md` says where each was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from hrembed.data.columns import Names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AtsTable = Literal["jobs", "candidates", "applications"]
TABLES: tuple[AtsTable, ...] = ("jobs", "candidates", "applications")
ATTRIBUTES = ("sex", "race_ethnicity")
"""Categories of people that are recognised; others are named by the settings."""

NAME_COLUMNS: Mapping[AtsTable, Sequence[str]] = {
    "jobs": ("hiring_manager", "recruiter"),
    "candidates": ("name", "first_name", "middle_name", "last_name", "preferred_name"),
    "applications": (),
}
"""Columns with names of people, by their names here; the names are looked for in all texts of their row."""

TEXT_COLUMNS: Mapping[AtsTable, Sequence[str]] = {
    "jobs": ("title", "text", "responsibilities", "requirements", "skills"),
    "candidates": ("headline", "summary", "text", "experience", "education", "skills"),
    "applications": (),
}
"""Columns that make up the text of an ad or a résumé, in order; one of them must be there."""

NEEDED: Mapping[AtsTable, Sequence[str]] = {
    "jobs": ("id",),
    "candidates": ("id",),
    "applications": ("job", "candidate", "status"),
}
"""Columns that must be there."""

_SEX = (
    "gender, sex, eeoc_gender, eeo_gender, gender_identity, legal_sex, geschlecht, sexe, genre, sexo, genere, geslacht"
)
_RACE = (
    "race_ethnicity, race/ethnicity, race / ethnicity, ethnicity/race, race, ethnicity, eeoc_race, eeo_race, "
    "eeo_ethnicity, race_and_ethnicity, ethnic_origin, ethnic_group, race_or_ethnicity"
)
_ALIASES: Mapping[AtsTable, Mapping[str, str]] = {
    "jobs": {
        "id": """
            id, job_id, jobid, requisition_id, requisition_number, req_id, requisition, job_requisition,
            job_requisition_id, job_req_id, jobreqid, posting_id, job_post_id, offer_id, opening_id, position_id,
            vacancy_id, shortcode, job_code, requisition_code, contest_number, reference, ref_number, job_number,
            jr_number, stellen_id, stellennummer
        """,
        "title": """
            title, job_title, jobtitle, name, job_name, position, position_title, posting_title, requisition_title,
            full_title, job_posting_title, pos_title, postitle, posting_name, titel, stellentitel, stellenbezeichnung,
            intitule, intitulé, titulo, título, titolo, functietitel
        """,
        "text": """
            text, description, job_description, jobdescription, content, body, full_description, description_html,
            descriptionhtml, content_description, content_description_html, description_plain, descriptionplain,
            job_posting_description, external_description, externaldescription, posting_description, job_ad, jobad,
            advert, overview, pitch, beschreibung, stellenbeschreibung, stellenanzeige, descriptif, descripcion,
            descripción, descrizione, omschrijving
        """,
        "responsibilities": "responsibilities, duties, tasks, aufgaben, missions",
        "requirements": """
            requirements, qualifications, minimum_qualifications, requirements_html, job_requirements, anforderungen,
            profil, dein_profil, requisitos, requisiti
        """,
        "skills": "skills, required_skills, keywords, competencies, kenntnisse, kompetenzen, competences",
        "department": """
            department, department_name, departments, categories_department, categories.department, team, category,
            job_category, job_function, function, job_family, division, abteilung, departement, département,
            departamento, reparto, afdeling
        """,
        "hiring_manager": "hiring_manager, hiring_manager_name, hiring_lead, hiringlead, hiring_managers",
        "recruiter": "recruiter, recruiter_name, owner, contact_person, contact, ansprechpartner",
    },
    "candidates": {
        "id": """
            id, candidate_id, candidateid, applicant_id, applicantid, person_id, personid, candidate_number,
            candidatenumber, candidate_identifier, contact_id, profile_id, system_id, talent_id, kandidaten_id,
            bewerber_id, bewerbernummer
        """,
        "text": """
            text, resume, resume_text, resumetext, cv, cv_text, resume_plain_text, resume_content, resume_body,
            parsed_resume, resume_parsed, profile, profile_text, lebenslauf, curriculum, curriculum_vitae
        """,
        "headline": "headline, current_title, current_job_title, title, job_title, current_position",
        "summary": "summary, professional_summary, about, bio, pitch",
        "experience": """
            experience, work_experience, work_history, employment_history, experiences, berufserfahrung
        """,
        "education": "education, education_history, educations, ausbildung",
        "skills": "skills, skill_tags, competencies, kenntnisse, kompetenzen, competences",
        "name": """
            name, full_name, fullname, candidate_name, candidate, applicant_name, display_name, applicant, kandidat,
            bewerber, vollständiger_name, nom_complet, nombre_completo
        """,
        "first_name": """
            first_name, firstname, given_name, givenname, legal_first_name, forename, vorname, prenom, prénom, nombre,
            nome, voornaam
        """,
        "middle_name": "middle_name, middlename",
        "last_name": """
            last_name, lastname, family_name, familyname, surname, legal_last_name, nachname, familienname, nom,
            apellido, apellidos, cognome, achternaam
        """,
        "preferred_name": "preferred_name, preferred_first_name, nickname, known_as",
        "email": """
            email, e_mail, email_address, emailaddress, email_addresses, primary_email, primary_email_address,
            primaryemailaddress, candidate_email, mail, e_mail_adresse, correo, courriel
        """,
        "sex": _SEX,
        "race_ethnicity": _RACE,
    },
    "applications": {
        "job": """
            job, job_id, jobid, job.id, requisition_id, requisition_number, req_id, requisition, job_requisition,
            job_requisition_id, jobrequisition.id, job_req_id, jobreqid, posting_id, postingid, job_post_id, offer_id,
            opening_id, position_id, vacancy_id, job_shortcode, job.shortcode, shortcode, job_code, requisition_code,
            baseprofile, contest_number, jr_number, job_number, jobs.0.id, stellen_id, stellennummer
        """,
        "candidate": """
            candidate, candidate_id, candidateid, candidate.id, applicant_id, applicantid, applicant.id, person_id,
            personid, candidate_number, candidatenumber, candidate_identifier, contact_id, contact, profile_id,
            associatedprofile, kandidaten_id, bewerber_id, bewerbernummer
        """,
        "status": """
            status, application_status, applicationstatus, candidate_status, applicant_status, status.label,
            status_label, status_name, current_status, current_status_name, outcome, disposition, disposition_status,
            hiring_status, result, decision, bewerbungsstatus, statut, estado, stato, stage, stage_name,
            current_stage, current_stage.name, currentstage, current_stage_name, currentinterviewstage.title, phase
        """,
        "stage": """
            stage, stage_name, current_stage, current_stage.name, currentstage, current_stage_name, last_stage,
            furthest_stage, stage_reached, current_step, current_step_name, step, pipeline_stage,
            current_interview_stage, currentinterviewstage.title, job_stage, recruiting_stage, phase, etape, étape,
            fase
        """,
        "score": "score",
        "sex": _SEX,
        "race_ethnicity": _RACE,
    },
}
KNOWN_AS: Mapping[AtsTable, Mapping[str, Sequence[str]]] = {
    table: {ours: tuple(name.strip() for name in names.split(",")) for ours, names in columns.items()}
    for table, columns in _ALIASES.items()
}
"""Table to column here to the names under which it is recognised; the first that the file has is taken."""


def recognise(table: AtsTable, columns: Sequence[str]) -> dict[str, str]:
    """Say which columns of a file are recognised.

    Args:
        table: What the file holds.
        columns: Its header.

    Returns:
        Name here -> name in the file, only of columns that were found.
    """
    other_names = Names("", NEEDED[table], {}, KNOWN_AS[table]).of(columns)
    own_names = {ours: ours for ours in KNOWN_AS[table] if ours in columns and ours not in other_names.values()}
    return {ours: {**own_names, **other_names}[ours] for ours in KNOWN_AS[table] if ours in {*own_names, *other_names}}
