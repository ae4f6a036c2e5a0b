"""Networks for text, written by hand."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.zoo.patches import SelfAttention, mlp

VOCABULARY = 20


class TextCNN(nn.Module):
    """Kim's: convolutions of several widths, the largest value of each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(VOCABULARY, 8)
        self.convs = nn.ModuleList(nn.Conv1d(8, 6, size) for size in (2, 3, 4))
        self.drop, self.out = nn.Dropout(), nn.Linear(18, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.table(tokens).transpose(1, 2)
        x = torch.cat([conv(x).relu().amax(-1) for conv in self.convs], 1)
        return self.out(self.drop(x))


class CharacterHighway(nn.Module):
    """Characters by convolution, a highway layer, a recurrent layer."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.conv = nn.Embedding(VOCABULARY, 6), nn.Conv1d(6, 9, 3, padding=1)
        self.carry, self.change = nn.Linear(9, 9), nn.Linear(9, 9)
        self.rnn, self.out = nn.GRU(9, 7, batch_first=True), nn.Linear(7, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.conv(self.table(tokens).transpose(1, 2)).tanh().transpose(1, 2)
        gate = self.carry(x).sigmoid()
        x = gate * self.change(x).relu() + (1 - gate) * x
        return self.out(self.rnn(x)[0][:, -1])


class BagOfWords(nn.Module):
    """FastText."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = nn.EmbeddingBag(VOCABULARY, 10), nn.Linear(10, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(self.table(tokens))


class DeepBag(nn.Module):
    """Two embeddings of bags, one summed and one of the largest, and an MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.sum = nn.EmbeddingBag(VOCABULARY, 8, mode="sum")
        self.largest = nn.EmbeddingBag(VOCABULARY, 6, mode="max")
        self.body = nn.Sequential(nn.Linear(14, 12), nn.ReLU(), nn.Linear(12, 3))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.body(torch.cat([self.sum(tokens), self.largest(tokens)], 1))


class DeepAverage(nn.Module):
    """Padding is masked out of the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(VOCABULARY, 9, padding_idx=0)
        self.body = nn.Sequential(nn.Linear(9, 11), nn.ReLU(), nn.Linear(11, 3))

    def forward(self, tokens: Tensor) -> Tensor:
        there = (tokens != 0).unsqueeze(-1)
        x = (self.table(tokens) * there).sum(1) / there.sum(1).clamp(min=1)
        return self.body(x)


class LSTMTagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(VOCABULARY, 8)
        self.rnn = nn.LSTM(8, 7, batch_first=True, bidirectional=True)
        self.out = nn.Linear(14, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(self.rnn(self.table(tokens))[0])


class TiedLanguageModel(nn.Module):
    """The embedding is the output layer as well."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.rnn = nn.Embedding(VOCABULARY, 9), nn.LSTM(9, 9, batch_first=True)
        self.out = nn.Linear(9, VOCABULARY)
        self.out.weight = self.table.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(self.rnn(self.table(tokens))[0])


class TiedByFunction(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.hidden = nn.Embedding(VOCABULARY, 9), nn.Linear(9, 12)
        self.back = nn.Linear(12, 9)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.back(self.hidden(self.table(tokens)).relu())
        return functional.linear(x, self.table.weight)


class Encoder(nn.Module):
    """torch's own encoder, with positions."""

    def __init__(self, *, norm_first: bool = False, activation: str = "relu") -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            12, 3, 16, batch_first=True, norm_first=norm_first, activation=activation
        )
        self.table, self.places = nn.Embedding(VOCABULARY, 12), nn.Embedding(6, 12)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Linear(12, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        return self.out(self.encoder(self.table(tokens) + self.places(places)).mean(1))


def prenorm_encoder() -> nn.Module:
    return Encoder(norm_first=True, activation="gelu")


class Decoder(nn.Module):
    """It looks at a memory that a linear layer makes."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerDecoderLayer(8, 2, 14, batch_first=True)
        self.table, self.memory = nn.Embedding(VOCABULARY, 8), nn.Linear(5, 8)
        self.decoder, self.out = nn.TransformerDecoder(layer, 2), nn.Linear(8, VOCABULARY)

    def forward(self, tokens: Tensor, seen: Tensor) -> Tensor:
        x = self.table(tokens)
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1], dtype=x.dtype)
        x = self.decoder(x, self.memory(seen), tgt_mask=mask)
        return self.out(x)


class Translator(nn.Module):
    """torch's whole transformer, time first."""

    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(VOCABULARY, 8), nn.Embedding(VOCABULARY, 8)
        self.body, self.out = nn.Transformer(8, 2, 1, 1, 12), nn.Linear(8, VOCABULARY)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        x = self.body(self.source(source).transpose(0, 1), self.target(target).transpose(0, 1))
        return self.out(x).transpose(0, 1)


class GPT(nn.Module):
    """Causal attention, learnt positions."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.places = nn.Embedding(VOCABULARY, 12), nn.Parameter(torch.zeros(1, 8, 12))
        self.norms = nn.ModuleList(nn.LayerNorm(12) for _ in range(4))
        self.keys = nn.ModuleList(nn.Linear(12, 36) for _ in range(2))
        self.backs = nn.ModuleList(nn.Linear(12, 12) for _ in range(2))
        self.mlps = nn.ModuleList(mlp(12, 20) for _ in range(2))
        self.last, self.out = nn.LayerNorm(12), nn.Linear(12, VOCABULARY, bias=False)
        self.n_heads = 3

    def attend(self, x: Tensor, layer: int) -> Tensor:
        n, t, _ = x.shape
        query, key, value = (
            part.view(n, t, self.n_heads, -1).transpose(1, 2)
            for part in self.keys[layer](x).chunk(3, -1)
        )
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.backs[layer](seen.transpose(1, 2).reshape(n, t, -1))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.table(tokens) + self.places[:, : tokens.shape[1]]
        for layer in range(2):
            x = x + self.attend(self.norms[2 * layer](x), layer)
            x = x + self.mlps[layer](self.norms[2 * layer + 1](x))
        return self.out(self.last(x))


class Llama(nn.Module):
    """Rotated positions, two queries to a key, RMS norm, gated feed-forward layers."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(VOCABULARY, 14)
        self.n_keys, self.head_width = 3, 4
        self.query, self.key, self.value = (nn.Linear(14, n * 4, bias=False) for n in (6, 3, 3))
        self.back, self.norm, self.norm2 = (
            nn.Linear(24, 14, bias=False),
            nn.RMSNorm(14),
            nn.RMSNorm(14),
        )
        self.gate, self.up, self.down = nn.Linear(14, 18), nn.Linear(14, 18), nn.Linear(18, 14)
        self.last, self.out = nn.RMSNorm(14), nn.Linear(14, VOCABULARY, bias=False)

    def rotated(self, x: Tensor) -> Tensor:
        half = self.head_width // 2
        speed = 10.0 ** -torch.arange(half, dtype=x.dtype)
        angle = torch.arange(x.shape[2], dtype=x.dtype)[:, None] * speed
        angle = torch.cat([angle, angle], -1)
        left, right = x.chunk(2, -1)
        return x * angle.cos() + torch.cat([-right, left], -1) * angle.sin()

    def attend(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        query, key, value = (
            layer(x).view(n, t, -1, self.head_width).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        key, value = (y.repeat_interleave(2, 1) for y in (self.rotated(key), value))
        seen = functional.scaled_dot_product_attention(
            self.rotated(query), key, value, is_causal=True
        )
        return self.back(seen.transpose(1, 2).reshape(n, t, -1))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.table(tokens)
        x = x + self.attend(self.norm(x))
        y = self.norm2(x)
        x = x + self.down(functional.silu(self.gate(y)) * self.up(y))
        return self.out(self.last(x))


class SharedBlock(nn.Module):
    """The same block three times over (ALBERT)."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.enter = nn.Embedding(VOCABULARY, 6), nn.Linear(6, 12)
        self.norm, self.attention, self.mlp = nn.LayerNorm(12), SelfAttention(12, 3), mlp(12, 16)
        self.out = nn.Linear(12, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.enter(self.table(tokens))
        for _ in range(3):
            x = x + self.attention(self.norm(x))
            x = x + self.mlp(x)
        return self.out(x.mean(1))


class LinearAttention(nn.Module):
    """Keys and values are summed up before queries look at them."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.n_heads = nn.Embedding(VOCABULARY, 10), 2
        self.query, self.key, self.value = (nn.Linear(10, 8) for _ in range(3))
        self.back, self.out = nn.Linear(8, 10), nn.Linear(10, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.table(tokens)
        n, t, _ = x.shape
        query, key, value = (
            layer(x).view(n, t, self.n_heads, -1) for layer in (self.query, self.key, self.value)
        )
        query, key = functional.elu(query) + 1, functional.elu(key) + 1
        memory = torch.einsum("bthd,bthe->bhde", key, value)
        scale = torch.einsum("bthd,bhd->bth", query, key.sum(1))
        seen = torch.einsum("bthd,bhde->bthe", query, memory) / scale.unsqueeze(-1)
        return self.out((x + self.back(seen.flatten(2))).mean(1))


class RelativeAttention(nn.Module):
    """Distances have keys of their own (Shaw et al.)."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.distances = nn.Embedding(VOCABULARY, 10), nn.Embedding(11, 4)
        self.n_heads = 3
        self.query, self.key, self.value = (nn.Linear(10, 12) for _ in range(3))
        self.back, self.out = nn.Linear(12, 10), nn.Linear(10, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.table(tokens)
        n, t, _ = x.shape
        query, key, value = (
            layer(x).view(n, t, self.n_heads, -1).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        places = torch.arange(t)
        relative = self.distances(places[:, None] - places[None] + 5)
        logits = query @ key.transpose(2, 3) + torch.einsum("bhtd,tsd->bhts", query, relative)
        seen = (logits / 2).softmax(-1) @ value
        return self.out((x + self.back(seen.transpose(1, 2).flatten(2))).mean(1))


class Attending(nn.Module):
    """nn.MultiheadAttention in one of its forms, between layers that can lose units."""

    def __init__(self, n_heads: int = 3, width: int = 12, **options: object) -> None:
        super().__init__()
        self.enter = nn.Linear(5, width)
        self.attention = nn.MultiheadAttention(width, n_heads, batch_first=True, **options)
        self.out = nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x).tanh()
        return self.out((x + self.attention(x, x, x, need_weights=False)[0]).mean(1))


class CrossAttending(nn.Module):
    """Keys and values of other widths, time first, and the weights are put out as well."""

    def __init__(self) -> None:
        super().__init__()
        self.ask, self.key, self.value = nn.Linear(5, 8), nn.Linear(4, 6), nn.Linear(4, 7)
        self.attention = nn.MultiheadAttention(8, 2, kdim=6, vdim=7)
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        query, seen = self.ask(x).transpose(0, 1), seen.transpose(0, 1)
        found, weights = self.attention(query, self.key(seen), self.value(seen))
        return self.out(found).transpose(0, 1), weights


class MaskedAttending(nn.Module):
    """A mask over places and one over padding."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(VOCABULARY, 12, padding_idx=0)
        self.attention = nn.MultiheadAttention(12, 4, batch_first=True, bias=False)
        self.norm, self.out = nn.LayerNorm(12), nn.Linear(12, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        x, t = self.table(tokens), tokens.shape[1]
        causal = torch.ones(t, t, dtype=torch.bool, device=tokens.device).triu(1)
        padding = (tokens == 0) & (torch.arange(t, device=tokens.device) > 0)
        y, _ = self.attention(x, x, x, attn_mask=causal, key_padding_mask=padding)
        return self.out(self.norm(x + y)[:, -1])


class EndToEndMemory(nn.Module):
    """A question looks at sentences by their sums of words (Sukhbaatar et al.)."""

    def __init__(self) -> None:
        super().__init__()
        self.ask, self.key, self.value = (nn.Embedding(VOCABULARY, n) for n in (8, 8, 8))
        self.times, self.out = nn.Parameter(torch.zeros(4, 8)), nn.Linear(8, VOCABULARY)

    def forward(self, story: Tensor, question: Tensor) -> Tensor:
        query = self.ask(question).sum(1)
        keys = self.key(story).sum(2) + self.times
        weights = torch.einsum("bmd,bd->bm", keys, query).softmax(1)
        answer = (weights.unsqueeze(-1) * self.value(story).sum(2)).sum(1)
        return self.out(answer + query)


class PointerNetwork(nn.Module):
    """It puts out where in its input to look, by additive attention."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.GRU(4, 8, batch_first=True), nn.GRU(4, 8, batch_first=True)
        self.one, self.two, self.point = (
            nn.Linear(8, 7),
            nn.Linear(8, 7),
            nn.Linear(7, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        seen, state = self.encoder(x)
        asked, _ = self.decoder(x, state)
        both = self.one(seen).unsqueeze(1) + self.two(asked).unsqueeze(2)
        return self.point(both.tanh()).squeeze(-1).log_softmax(-1)
