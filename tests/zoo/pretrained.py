"""Networks that people download, from their configurations, with weights of no meaning."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

VOCABULARY = 20


def transformer(model: str, config: str, **sizes: Any) -> Callable[[], nn.Module]:
    """What makes a network of transformers."""

    def build() -> nn.Module:
        import transformers  # it takes seconds

        chosen = {"use_cache": False, "attn_implementation": "sdpa", **sizes}
        return getattr(transformers, model)(getattr(transformers, config)(**chosen))

    return build


# Of width 12, with 3 heads of 4 dimensions, feed-forward layers of 16, two blocks.
BERT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 16,
    "max_position_embeddings": 16,
    "num_labels": 3,
}

bert = transformer("BertForSequenceClassification", "BertConfig", **BERT)
roberta = transformer("RobertaForSequenceClassification", "RobertaConfig", **BERT)
electra = transformer("ElectraForSequenceClassification", "ElectraConfig", **BERT, embedding_size=6)
albert = transformer("AlbertForSequenceClassification", "AlbertConfig", **BERT, embedding_size=6)
bert_language_model = transformer("BertForMaskedLM", "BertConfig", **BERT)
distilbert = transformer(
    "DistilBertForSequenceClassification",
    "DistilBertConfig",
    vocab_size=VOCABULARY,
    dim=12,
    n_layers=2,
    n_heads=3,
    hidden_dim=16,
    max_position_embeddings=16,
    num_labels=3,
)
gpt2 = transformer(
    "GPT2LMHeadModel",
    "GPT2Config",
    vocab_size=VOCABULARY,
    n_embd=12,
    n_layer=2,
    n_head=3,
    n_inner=16,
    n_positions=16,
    bos_token_id=1,
    eos_token_id=1,
)
opt = transformer(
    "OPTForCausalLM",
    "OPTConfig",
    vocab_size=VOCABULARY,
    hidden_size=12,
    num_hidden_layers=2,
    num_attention_heads=3,
    ffn_dim=16,
    max_position_embeddings=16,
    word_embed_proj_dim=12,
)
gpt_neox = transformer("GPTNeoXForCausalLM", "GPTNeoXConfig", **BERT, rotary_pct=1.0)

# Of width 12, with 3 keys of 4 dimensions and two queries to each.
LLAMA = {
    "vocab_size": VOCABULARY,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 3,
    "head_dim": 4,
    "intermediate_size": 16,
    "max_position_embeddings": 16,
    "pad_token_id": 0,
}
llama = transformer("LlamaForCausalLM", "LlamaConfig", **LLAMA)
qwen2 = transformer(
    "Qwen2ForCausalLM",
    "Qwen2Config",
    **{**LLAMA, "hidden_size": 24},  # it takes the width of a head from that
)
mistral = transformer("MistralForCausalLM", "MistralConfig", **LLAMA)
mixtral = transformer(
    "MixtralForCausalLM",
    "MixtralConfig",
    **LLAMA,
    num_local_experts=4,
    num_experts_per_tok=2,
    experts_implementation="eager",
)

t5_encoder = transformer(
    "T5EncoderModel",
    "T5Config",
    vocab_size=VOCABULARY,
    d_model=12,
    d_kv=4,
    d_ff=16,
    num_layers=2,
    num_heads=3,
)
bart = transformer(
    "BartForConditionalGeneration",
    "BartConfig",
    vocab_size=VOCABULARY,
    d_model=12,
    encoder_layers=1,
    decoder_layers=1,
    encoder_attention_heads=3,
    decoder_attention_heads=3,
    encoder_ffn_dim=16,
    decoder_ffn_dim=14,
    max_position_embeddings=16,
)
vit = transformer(
    "ViTForImageClassification",
    "ViTConfig",
    hidden_size=12,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=16,
    image_size=8,
    patch_size=4,
    num_labels=3,
)
convnext = transformer(
    "ConvNextForImageClassification",
    "ConvNextConfig",
    hidden_sizes=[6, 8],
    depths=[1, 1],
    num_stages=2,
    patch_size=2,
    num_labels=3,
    attn_implementation=None,
)
resnet = transformer(
    "ResNetForImageClassification",
    "ResNetConfig",
    embedding_size=6,
    hidden_sizes=[16, 24],
    depths=[1, 2],
    num_labels=3,
    attn_implementation=None,
)


class WhisperEncoder(nn.Module):
    """The encoder, and classes from its mean."""

    def __init__(self) -> None:
        super().__init__()
        build = transformer(
            "WhisperModel",
            "WhisperConfig",
            vocab_size=VOCABULARY,
            num_mel_bins=5,
            d_model=12,
            encoder_layers=2,
            decoder_layers=1,
            encoder_attention_heads=3,
            decoder_attention_heads=3,
            encoder_ffn_dim=16,
            decoder_ffn_dim=16,
            max_source_positions=6,
            max_target_positions=8,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            decoder_start_token_id=1,
        )
        self.encoder, self.out = build().encoder, nn.Linear(12, 3)

    def forward(self, sound: Tensor) -> Tensor:
        return self.out(torch.as_tensor(self.encoder(sound)[0]).mean(1))
