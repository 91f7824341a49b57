"""Bodies of change rows of the office `agreements`, shaped like an Erasmus Without Paper agreement in JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, TypeAlias

Body: TypeAlias = dict[str, Any]


def agreement(
    agreement_id: str,
    parties: Sequence[str],
    kind: str,
    years: tuple[str, str],
    quotas: Mapping[tuple[str, str], int],
    text_uri: str,
) -> Body:
    """Conditions between parties. `quotas` are places a year by (sender, receiver)."""
    studies = kind == "student_studies"
    return {
        "agreementId": agreement_id,
        "parties": list(parties),
        "cooperationConditions": {
            "cooperationType": kind,
            "startAcademicYear": years[0],
            "endAcademicYear": years[1],
            "mobilities": [
                {
                    "sendingOrganization": sender,
                    "receivingOrganization": receiver,
                    "mobilitiesPerYear": places,
                }
                for (sender, receiver), places in quotas.items()
            ],
            "totalDaysPerYear": 360 if kind == "secondment" else None,
            "creditCap": 30 if studies else None,
            "ruleSet": None,
            "textUri": text_uri,
        },
    }


def said(body: Body, party: str, step: str, day: date) -> Body:
    """A party's word on an agreement as it stands."""
    return body | {"organization": party, "state": step, "effectiveDate": day.isoformat()}


def from_record(record: Mapping[str, Any]) -> Body:
    """The agreement of a received event in the campus's own form.

    Nothing is left out or put in another order: the hash of an approval is taken over it.
    """
    conditions = record["conditions"]
    return {
        "agreementId": record["agreement_id"],
        "parties": list(record["parties"]),
        "cooperationConditions": {
            "cooperationType": conditions["kind"],
            "startAcademicYear": conditions["first_year"],
            "endAcademicYear": conditions["last_year"],
            "mobilities": [
                {
                    "sendingOrganization": quota["sender"],
                    "receivingOrganization": quota["receiver"],
                    "mobilitiesPerYear": quota["per_year"],
                }
                for quota in conditions["quotas"]
            ],
            "totalDaysPerYear": conditions["total_days_per_year"],
            "creditCap": conditions["credit_cap"],
            "ruleSet": conditions["rule_set"],
            "textUri": conditions["text_uri"],
        },
    }
