"""Which columns of the public CMS files the recipe needs, under every name they have had.

The files of 2012 to 2018 as first released have one set of names (``nppes_provider_gender``), today's another
(``Rndrng_Prvdr_Gndr``), and exports of the old data portal a third (``Gender of the Provider``). Case, blanks
and punctuation do not count.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LABEL = "fraudulent_provider"
FEMALE = "female"
LEAST_SUPPRESSED = 5
"""What stands for a number of patients that CMS withheld because it is below 11."""

EXCLUSIONS = ("1128a1", "1128a2", "1128a3", "1128b4", "1128b7")
"""Mandatory and permissive exclusions for fraud, abuse and felony, as the LEIE file codes them."""

_DEVIATION_FIRST = ("standard_deviation", "mean", "sum")
_DEVIATION_LAST = ("mean", "sum", "standard_deviation")


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column that the recipe reads.

    Parameters
    ----------
    name : str
        What we call it; of a measure, what its statistics are called in the result.
    spellings : tuple of str
        What the files have called it, today's name first.
    measure : bool
        Whether it is a number that becomes mean, sum and standard deviation.
    suppressed : bool
        Whether a blank stands for a number below 11.
    optional : bool
        Whether a file may lack it.
    """

    name: str
    spellings: tuple[str, ...]
    measure: bool = False
    suppressed: bool = False
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One of the files to download.

    Parameters
    ----------
    option : str
        Name of the option that takes it, without dashes in front.
    title : str
        What CMS or OIG calls it.
    columns : tuple of Column
        What is read of it.
    statistics : tuple of str
        Order of the statistics of each measure in the result.
    """

    option: str
    title: str
    columns: tuple[Column, ...]
    statistics: tuple[str, ...] = ()

    @property
    def table(self) -> str:
        """Name a table of it."""
        return self.option.replace("-", "_")

    @property
    def measures(self) -> tuple[Column, ...]:
        """Return the columns whose statistics are in the result."""
        return tuple(column for column in self.columns if column.measure)

    @property
    def features(self) -> tuple[str, ...]:
        """Name the columns of the result that come from it, in order."""
        return tuple(
            f"{measure.name}_{statistic}" for measure in self.measures for statistic in self.statistics
        )


def _npi(*spellings: str) -> Column:
    return Column(name="npi", spellings=spellings)


def _type(*spellings: str) -> Column:
    return Column(name="type", spellings=spellings)


def _gender(*spellings: str) -> Column:
    return Column(name="gender", spellings=spellings, optional=True)


def _measure(name: str, *spellings: str, suppressed: bool = False) -> Column:
    return Column(name=name, spellings=(*spellings, name), measure=True, suppressed=suppressed)


PART_B = Kind(
    option="part-b",
    title="Medicare Physician & Other Practitioners - by Provider and Service",
    statistics=_DEVIATION_LAST,
    columns=(
        _npi("Rndrng_NPI", "npi", "National Provider Identifier"),
        _type("Rndrng_Prvdr_Type", "provider_type", "Provider Type of the Provider"),
        _gender("Rndrng_Prvdr_Gndr", "nppes_provider_gender", "Gender of the Provider"),
        _measure("bene_unique_cnt", "Tot_Benes", "Number of Medicare Beneficiaries"),
        _measure("line_svc_cnt", "Tot_Srvcs", "line_srvc_cnt", "Number of Services"),
        _measure(
            "bene_day_srvc_cnt",
            "Tot_Bene_Day_Srvcs",
            "Number of Distinct Medicare Beneficiary/Per Day Services",
        ),
        _measure("average_submitted_chrg_amt", "Avg_Sbmtd_Chrg", "Average Submitted Charge Amount"),
        _measure("average_medicare_payment_amt", "Avg_Mdcr_Pymt_Amt", "Average Medicare Payment Amount"),
    ),
)

PART_D = Kind(
    option="part-d",
    title="Medicare Part D Prescribers - by Provider and Drug",
    statistics=_DEVIATION_LAST,
    columns=(
        _npi("Prscrbr_NPI", "npi", "National Provider Identifier"),
        _type("Prscrbr_Type", "specialty_description", "Specialty of the Provider"),
        _measure("total_claim_count", "Tot_Clms"),
        _measure("total_30_day_fill_count", "Tot_30day_Fills"),
        _measure("total_day_supply", "Tot_Day_Suply"),
        _measure("total_drug_cost", "Tot_Drug_Cst"),
        _measure("bene_count", "Tot_Benes", suppressed=True),
    ),
)

DMEPOS = Kind(
    option="dmepos",
    title="Medicare Durable Medical Equipment, Devices & Supplies - by Referring Provider and Service",
    statistics=_DEVIATION_FIRST,
    columns=(
        _npi("Rfrg_NPI", "referring_npi"),
        _type(
            "Rfrg_Prvdr_Type",
            "Rfrg_Prvdr_Spclty_Desc",
            "referring_provider_type",
            "Referring Provider Specialty Description",
        ),
        _gender("Rfrg_Prvdr_Gndr", "referring_provider_gender"),
        _measure("tot_suplrs", "Tot_Suplrs", "number_of_suppliers"),
        _measure("tot_suplr_benes", "Tot_Suplr_Benes", "number_of_supplier_beneficiaries", suppressed=True),
        _measure("tot_suplr_clms", "Tot_Suplr_Clms", "number_of_supplier_claims"),
        _measure("tot_suplr_srvcs", "Tot_Suplr_Srvcs", "number_of_supplier_services"),
        _measure(
            "avg_suplr_sbmtd_chrg",
            "Avg_Suplr_Sbmtd_Chrg",
            "avg_supplier_submitted_charge",
            "Average Supplier Submitted Charges",
        ),
        _measure(
            "avg_suplr_mdcr_pymt_amt",
            "Avg_Suplr_Mdcr_Pymt_Amt",
            "avg_supplier_medicare_pmt_amt",
            "Average Supplier Medicare Payment Amount",
        ),
    ),
)

LEIE = Kind(
    option="leie",
    title="OIG List of Excluded Individuals and Entities",
    columns=(_npi("NPI"), Column(name="exclusion", spellings=("EXCLTYPE",))),
)

GENDER = Kind(
    option="gender",
    title="any file with NPI and gender: an older release, or NPPES",
    columns=(
        _npi("NPI", "Rndrng_NPI", "Rfrg_NPI", "referring_npi", "National Provider Identifier"),
        Column(
            name="gender",
            spellings=(
                "Provider Sex Code",
                "Provider Gender Code",
                "Rndrng_Prvdr_Gndr",
                "Rfrg_Prvdr_Gndr",
                "nppes_provider_gender",
                "referring_provider_gender",
                "Gender of the Provider",
            ),
        ),
    ),
)

CLAIMS = (DMEPOS, PART_B, PART_D)
"""The files that make features, in the order of the result's columns."""

FEATURES = (FEMALE, *(name for kind in CLAIMS for name in kind.features))


def find_columns(kind: Kind, header: Sequence[str]) -> tuple[Mapping[str, int], tuple[Column, ...]]:
    """Find where a file has the columns of its kind.

    Returns
    -------
    mapping of str to int, tuple of Column
        Position of every column found, by `Column.name`; and the columns that are missing but needed.
    """
    position = {_plain(name): at for at, name in reversed(list(enumerate(header)))}
    found = {
        column.name: position[_plain(spelling)]
        for column in kind.columns
        for spelling in reversed(column.spellings)
        if _plain(spelling) in position
    }
    missing = (column for column in kind.columns if column.name not in found and not column.optional)
    return found, tuple(missing)


def guess_kind(header: Sequence[str]) -> Kind | None:
    """Return the kind of file whose every needed column is there, if it is just one."""
    fitting = [kind for kind in (*CLAIMS, LEIE) if not find_columns(kind, header)[1]]
    return fitting[0] if len(fitting) == 1 else None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
