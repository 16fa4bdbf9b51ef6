from safetensors.numpy import load_file

from tests.cli.commands import RUN, VANILLA, artifact, records


def test_an_ensemble_is_measured_from_the_logits_of_the_seeds(finished, kdbench):
    recipe = finished / "recipes" / "tiny" / "table.yaml"
    text = recipe.read_text(encoding="utf-8").replace(
        "columns: [error, trcost, tecost]", "columns: [error, ensemble]\nnets: 2"
    )
    recipe.write_text(text, encoding="utf-8")
    code, out, err = kdbench(*RUN, *VANILLA)
    assert code == 0, err
    # The networks are those that the table without ensembles has.
    assert "1 of 3 runs to train" in out
    assert "tiny/vanilla ensembles of 2: error " in out
    own = [record for record in records(finished) if record["name"] == "tiny/vanilla"]
    (found,) = [record for record in own if record["recipe"]["kind"] == "evaluate"]
    trained = {record["seed"]: record for record in own if record["recipe"]["kind"] == "train"}
    assert {edge: said["artifact"] for edge, said in found["taken"].items()} == {
        str(seed): record["artifact"] for seed, record in trained.items()
    }
    logits = [load_file(artifact(finished, record))["logits0"] for record in trained.values()]
    assert [one.shape for one in logits] == [(100, 10)] * 2
    assert found["curve"] == [{"members": [1, 2], "test_error": found["results"][0]["last_error"]}]
    assert found["artifact"] is None
    code, out, err = kdbench("report", "tiny")
    assert code == 0, err
    assert f"- / {found['results'][0]['last_error']:.2f}" in out
    code, out, err = kdbench(*RUN, *VANILLA)
    assert (code, "0 of 3 runs" in out) == (0, True)
