"""The plan of a study's probe: questions to memories of held-out records. Beside `plan`, from which it is made."""

from __future__ import annotations

from contextpress.analysis.spec import ProbeSpec
from contextpress.corpus.spec import DomainSpec
from contextpress.plan import Plan
from contextpress.tokens.spec import ProbeSize, QuestionsSpec


class Probe:
    """What the probe asks, of a plan whose study has one."""

    def __init__(self, plan: Plan, domain: str) -> None:
        """``domain`` is the one that the study's section names."""
        self.plan, self.domain = plan, domain

    def questions(self) -> DomainSpec:
        """Spec of the questions about held-out records: that of their domain."""
        return self.plan.domain(self.domain)

    def passages(self) -> QuestionsSpec:
        """Spec of the probe's passages and of what is asked of them."""
        study = self.plan.study
        size = study.probe.model_dump(include=set(ProbeSize.model_fields))
        return QuestionsSpec(domain=self.domain, window=study.tokens.passages.window, **size)

    def analysis(self) -> ProbeSpec:
        """Spec of the table and the finding."""
        return ProbeSpec(compressors=self.plan.observations().compressors, claims=self.plan.study.analysis.claims)
