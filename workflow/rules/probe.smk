# Questions to memories of held-out records. Only where a study asks: PROBE is empty else, and so are its lists.
ASKED_DOMAIN = PLAN.study.probe.domain
PROBE = Probe(PLAN, ASKED_DOMAIN, ARMS.cells) if ASKED_DOMAIN else None
PROBE_FINDING = []
PROBE_FIGURE = []

if PROBE:

    ASKED = f"{RESULTS}/probe/asked.parquet"
    PROBE_PASSAGES = f"{RESULTS}/probe/passages.parquet"

    rule probe_questions:
        """What can be asked about the records of the test documents."""
        input:
            code=code_of("corpus", "questions"),
            documents=expand(rules.domain.output, domain=PROBE.domain),
            files=PLAN.files(PROBE.domain),
        output:
            f"{RESULTS}/probe/questions.parquet",
        log:
            f"{RESULTS}/logs/probe/questions.log",
        benchmark:
            f"{RESULTS}/benchmarks/probe/questions.jsonl"
        conda:
            ENVIRONMENT
        params:
            spec=spec_of(PROBE.questions),
        shell:
            "contextpress corpus questions --spec {params.spec:q} --documents {input.documents:q} --output {output:q}"
            " &> {log:q}"

    rule probe_passages:
        """Some of these records as passages, and the questions that are asked."""
        input:
            code=code_of("tokens", "questions"),
            questions=rules.probe_questions.output,
            tokenizer=rules.tokenizer.output.tokenizer,
        output:
            passages=PROBE_PASSAGES,
            asked=ASKED,
        log:
            f"{RESULTS}/logs/probe/passages.log",
        benchmark:
            f"{RESULTS}/benchmarks/probe/passages.jsonl"
        conda:
            ENVIRONMENT
        params:
            spec=spec_of(PROBE.passages),
            tokenizer=folder_of("tokenizer"),
        shell:
            "contextpress tokens questions --spec {params.spec:q} --questions {input.questions:q}"
            " --tokenizer {params.tokenizer:q} --output {output.passages:q} --asked-output {output.asked:q} &> {log:q}"

    rule probe_score:
        """How surprising each record is to one model."""
        input:
            code=code_of("entropy", "score"),
            weights=lambda wildcards: lm_weights(wildcards.model),
            tokenizer=rules.tokenizer.output.tokenizer,
            passages=PROBE_PASSAGES,
        output:
            passages=f"{RESULTS}/probe/scores/{{model}}.parquet",
            tokens=f"{RESULTS}/probe/scores/tokens/{{model}}.parquet",
        log:
            f"{RESULTS}/logs/probe/score-{{model}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/probe/score-{{model}}.jsonl"
        conda:
            ENVIRONMENT
        resources:
            **WITH_MODEL,
        params:
            spec=spec_of(PLAN.score, "model"),
            model=folder_of("weights"),
            tokenizer=folder_of("tokenizer"),
        shell:
            "contextpress entropy score --spec {params.spec:q} --model {params.model:q}"
            " --tokenizer {params.tokenizer:q} --passages {input.passages:q}"
            " --output {output.passages:q} --tokens-output {output.tokens:q} &> {log:q}"

    rule probe_model_free:
        """How surprising each record is to unigram counts and to zlib."""
        input:
            code=code_of("entropy", "model_free"),
            tokenizer=rules.tokenizer.output.tokenizer,
            arrays=expand(rules.encode.output, domain=PLAN.domains),
            passages=PROBE_PASSAGES,
        output:
            f"{RESULTS}/probe/model_free.parquet",
        log:
            f"{RESULTS}/logs/probe/model_free.log",
        benchmark:
            f"{RESULTS}/benchmarks/probe/model_free.jsonl"
        conda:
            ENVIRONMENT
        params:
            tokenizer=folder_of("tokenizer"),
        shell:
            "contextpress entropy model-free --tokenizer {params.tokenizer:q} --arrays {input.arrays:q}"
            " --passages {input.passages:q} --output {output:q} &> {log:q}"

    rule probe_reconstruct:
        """The records, reconstructed from memory and from three controls."""
        input:
            code=code_of("reconstruction", "reconstruct"),
            compressor=rules.compressor.output.weights,
            description=rules.compressor.output.description,
            encoder=encoder_weights,
            decoder=decoder_weights,
            tokenizer=rules.tokenizer.output.tokenizer,
            passages=PROBE_PASSAGES,
        output:
            table=f"{RESULTS}/probe/reconstructions/{{compressor}}.parquet",
            record=f"{RESULTS}/probe/reconstructions/{{compressor}}.json",
        log:
            f"{RESULTS}/logs/probe/reconstruct-{{compressor}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/probe/reconstruct-{{compressor}}.jsonl"
        conda:
            ENVIRONMENT
        resources:
            **WITH_MODEL,
        params:
            spec=spec_of(PLAN.reconstruction),
            compressor=folder_of("compressor"),
            encoder=folder_of("encoder"),
            decoder=folder_of("decoder"),
            tokenizer=folder_of("tokenizer"),
        shell:
            "contextpress reconstruction reconstruct --spec {params.spec:q} --compressor {params.compressor:q}"
            " --encoder {params.encoder:q} --decoder {params.decoder:q} --tokenizer {params.tokenizer:q}"
            " --passages {input.passages:q} --output {output.table:q} --record {output.record:q} &> {log:q}"

    rule probe_answer:
        """Answers to the questions, from memory and without it."""
        input:
            code=code_of("reconstruction", "answer"),
            compressor=rules.compressor.output.weights,
            description=rules.compressor.output.description,
            encoder=encoder_weights,
            decoder=decoder_weights,
            tokenizer=rules.tokenizer.output.tokenizer,
            passages=PROBE_PASSAGES,
            asked=ASKED,
        output:
            table=f"{RESULTS}/probe/answers/{{compressor}}.parquet",
            record=f"{RESULTS}/probe/answers/{{compressor}}.json",
        log:
            f"{RESULTS}/logs/probe/answer-{{compressor}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/probe/answer-{{compressor}}.jsonl"
        conda:
            ENVIRONMENT
        resources:
            **WITH_MODEL,
        params:
            spec=spec_of(PLAN.reconstruction),
            compressor=folder_of("compressor"),
            encoder=folder_of("encoder"),
            decoder=folder_of("decoder"),
            tokenizer=folder_of("tokenizer"),
        shell:
            "contextpress reconstruction answer --spec {params.spec:q} --compressor {params.compressor:q}"
            " --encoder {params.encoder:q} --decoder {params.decoder:q} --tokenizer {params.tokenizer:q}"
            " --passages {input.passages:q} --asked {input.asked:q} --output {output.table:q}"
            " --record {output.record:q} &> {log:q}"

    rule probe_observations:
        """One row per record and compressor, as the table of the study has them for passages."""
        input:
            code=code_of("analysis", "observations"),
            passages=PROBE_PASSAGES,
            scores=expand(rules.probe_score.output.passages, model=PLAN.models),
            model_free=rules.probe_model_free.output,
            gap=rules.gap.output,
            reconstructions=expand(
                rules.probe_reconstruct.output.table, compressor=PLAN.jobs
            ),
        output:
            f"{RESULTS}/probe/observations.parquet",
        log:
            f"{RESULTS}/logs/probe/observations.log",
        benchmark:
            f"{RESULTS}/benchmarks/probe/observations.jsonl"
        conda:
            ENVIRONMENT
        params:
            spec=spec_of(PLAN.observations),
        shell:
            "contextpress analysis observations --spec <(printf %s {params.spec:q}) --passages {input.passages:q}"
            " --scores {input.scores:q} --model-free {input.model_free:q} --gaps {input.gap:q}"
            " --reconstructions {input.reconstructions:q} --observations {output:q} &> {log:q}"

    rule probe_table:
        """Answers beside reconstructions: the finding and the table of the probe."""
        input:
            code=code_of("analysis", "probe"),
            observations=rules.probe_observations.output,
            passages=PROBE_PASSAGES,
            asked=ASKED,
            answers=expand(
                rules.probe_answer.output.table, compressor=PROBE.compressors
            ),
            reconstructions=expand(
                rules.probe_reconstruct.output.table, compressor=PROBE.compressors
            ),
        output:
            finding=f"{RESULTS}/findings/probe.json",
            table=f"{RESULTS}/tables/probe.csv",
        log:
            f"{RESULTS}/logs/analysis/probe.log",
        benchmark:
            f"{RESULTS}/benchmarks/analysis/probe.jsonl"
        conda:
            ENVIRONMENT
        params:
            spec=spec_of(PROBE.analysis),
        shell:
            "contextpress analysis probe --spec <(printf %s {params.spec:q}) --observations {input.observations:q}"
            " --passages {input.passages:q} --asked {input.asked:q} --answers {input.answers:q} --reconstructions {input.reconstructions:q}"
            " --finding {output.finding:q} --table {output.table:q} &> {log:q}"

    rule probe:
        """Answers against the quality of reconstructions."""
        input:
            code=code_of("figures", "probe"),
            table=rules.probe_table.output.table,
            finding=rules.probe_table.output.finding,
        output:
            **drawn("probe"),
        log:
            f"{RESULTS}/logs/figures/probe.log",
        benchmark:
            f"{RESULTS}/benchmarks/figures/probe.jsonl"
        conda:
            ENVIRONMENT
        params:
            spec=spec_of(PLAN.table_figure),
        shell:
            "contextpress figures probe --spec {params.spec:q} --table {input.table:q} --finding {input.finding:q}"
            " --pdf {output.pdf:q} --svg {output.svg:q} --png {output.png:q} --caption {output.caption:q} &> {log:q}"

    PROBE_FINDING.append(rules.probe_table.output.finding)
    PROBE_FIGURE.append("probe")
