"""Networks for series and sound, and recurrent layers in all their forms."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Recurrent(nn.Module):
    """A linear layer, a recurrent one, an output for each step."""

    def __init__(
        self, kind: Any, hidden: int = 7, put_out: int | None = None, **options: Any
    ) -> None:
        super().__init__()
        self.enter = nn.Linear(4, 6)
        self.rnn = kind(6, hidden, batch_first=True, **options)
        self.out = nn.Linear(put_out or hidden, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.rnn(self.enter(x).tanh())[0])


class LastState(nn.Module):
    """Classes from the state that is left, time first."""

    def __init__(self, kind: Any, n_states: int = 1, **options: Any) -> None:
        super().__init__()
        self.rnn = kind(4, 8, **options)
        self.out = nn.Linear(8 * n_states, 3)

    def forward(self, x: Tensor) -> Tensor:
        state = self.rnn(x.transpose(0, 1))[1]
        state = state[0] if isinstance(state, tuple) else state
        return self.out(state.transpose(0, 1).flatten(1))


class GivenState(nn.Module):
    """The first state is learnt."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.cell = (
            nn.Parameter(torch.zeros(1, 1, 7)),
            nn.Parameter(torch.zeros(1, 1, 7)),
        )
        self.rnn, self.out = nn.LSTM(4, 7, batch_first=True), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        state = tuple(s.expand(-1, len(x), -1).contiguous() for s in (self.hidden, self.cell))
        return self.out(self.rnn(x, state)[0])


class ZeroState(nn.Module):
    """The first state is made of zeros, as tutorials have it."""

    def __init__(self) -> None:
        super().__init__()
        self.n_layers, self.hidden_size = 2, 8
        self.rnn, self.out = nn.GRU(4, 8, num_layers=2, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        state = torch.zeros(self.n_layers, len(x), self.hidden_size, dtype=x.dtype, device=x.device)
        return self.out(self.rnn(x, state)[0][:, -1])


class StateFromInput(nn.Module):
    """The first state comes from other inputs (a caption from an image)."""

    def __init__(self) -> None:
        super().__init__()
        self.start, self.rnn = nn.Linear(5, 8), nn.GRU(4, 8, batch_first=True)
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        return self.out(self.rnn(x, self.start(image).tanh().unsqueeze(0))[0])


class Packed(nn.Module):
    """Sequences of several lengths; the lengths come with them."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.rnn = nn.Linear(4, 6), nn.LSTM(6, 7, batch_first=True)
        self.out = nn.Linear(7, 3)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(
            self.enter(x), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        outputs, _ = pad_packed_sequence(
            self.rnn(packed)[0], batch_first=True, total_length=x.shape[1]
        )
        return self.out(outputs)


class Cells(nn.Module):
    """A cell in a loop."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.enter, self.cell, self.out = nn.Linear(4, 6), kind(6, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for step in self.enter(x).relu().unbind(1):
            state = self.cell(step, state)
        return self.out(state[0] if isinstance(state, tuple) else state)


class CellsWithZeros(nn.Module):
    """Two LSTM cells, whose first states are of their own sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.out = nn.LSTMCell(4, 7), nn.LSTMCell(7, 9), nn.Linear(9, 3)

    def forward(self, x: Tensor) -> Tensor:
        h1, c1 = (x.new_zeros(len(x), self.one.hidden_size) for _ in range(2))
        h2, c2 = (x.new_zeros(len(x), self.two.hidden_size) for _ in range(2))
        for step in x.unbind(1):
            h1, c1 = self.one(step, (h1, c1))
            h2, c2 = self.two(h1, (h2, c2))
        return self.out(h2)


class OwnLSTM(nn.Module):
    """An LSTM written out: one layer makes all gates."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 7
        self.gates, self.out = nn.Linear(4 + 7, 4 * 7), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = c = x.new_zeros(len(x), self.size)
        for step in x.unbind(1):
            i, f, g, o = self.gates(torch.cat([step, h], 1)).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        return self.out(h)


class NormedGRU(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.norm = nn.GRU(4, 9, batch_first=True), nn.LayerNorm(9)
        self.hidden, self.out = nn.Linear(9, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.hidden(self.norm(self.rnn(x)[0].mean(1))).relu())


class AttendingLSTM(nn.Module):
    """The steps of an LSTM are weighed by what a small network makes of them."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(4, 6, batch_first=True, bidirectional=True)
        self.look, self.weigh, self.out = nn.Linear(12, 7), nn.Linear(7, 1), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        steps = self.rnn(x)[0]
        weights = self.weigh(self.look(steps).tanh()).softmax(1)
        return self.out((weights * steps).sum(1)), weights


class Seq2Seq(nn.Module):
    """An encoder hands its state to a decoder that looks back (Luong)."""

    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(12, 6), nn.Embedding(12, 5)
        self.encoder, self.decoder = (
            nn.LSTM(6, 8, batch_first=True),
            nn.LSTM(5, 8, batch_first=True),
        )
        self.join, self.out = nn.Linear(16, 9), nn.Linear(9, 12)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        seen, state = self.encoder(self.source(source))
        steps, _ = self.decoder(self.target(target), state)
        weights = (steps @ seen.transpose(1, 2)).softmax(-1)
        return self.out(self.join(torch.cat([weights @ seen, steps], -1)).tanh())


class ConvLSTM(nn.Module):
    """An LSTM whose gates are convolutions, over the frames of a film."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 6
        self.gates, self.out = nn.Conv2d(2 + 6, 4 * 6, 3, padding=1), nn.Conv2d(6, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        n, _, _, height, width = x.shape
        h = c = x.new_zeros(n, self.size, height, width)
        for frame in x.unbind(1):
            i, f, o, g = torch.split(self.gates(torch.cat([frame, h], 1)), self.size, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        return self.out(h)


class ConvThenLSTM(nn.Module):
    """Speech: convolutions over time, an LSTM, a class."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv1d(4, 8, 3, padding=1),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Conv1d(8, 6, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.rnn, self.out = nn.LSTM(6, 9, batch_first=True), nn.Linear(9, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.rnn(self.convs(x.transpose(1, 2)).transpose(1, 2))[0][:, -1])


class FrameCNN(nn.Module):
    """A small CNN for each frame, and an LSTM over what it makes of them."""

    def __init__(self) -> None:
        super().__init__()
        self.cnn = nn.Sequential(
            nn.Conv2d(2, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 8)
        )
        self.rnn, self.out = nn.LSTM(8, 7, batch_first=True), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        n, t = x.shape[:2]
        frames = self.cnn(x.flatten(0, 1)).view(n, t, -1)
        return self.out(self.rnn(frames)[0][:, -1])


class CausalConv(nn.Conv1d):
    def forward(self, x: Tensor) -> Tensor:
        reach = (self.kernel_size[0] - 1) * self.dilation[0]
        return super().forward(functional.pad(x, (reach, 0)))


class Temporal(nn.Module):
    """A block of a temporal convolutional network."""

    def __init__(self, n_in: int, inner: int, n_out: int, dilation: int) -> None:
        super().__init__()
        self.one = CausalConv(n_in, inner, 2, dilation=dilation)
        self.two = CausalConv(inner, n_out, 2, dilation=dilation)
        self.around = nn.Conv1d(n_in, n_out, 1) if n_in != n_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return (self.two(self.one(x).relu()).relu() + self.around(x)).relu()


class TCN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(Temporal(4, 6, 8, 1), Temporal(8, 5, 8, 2))
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.body(x.transpose(1, 2))[..., -1])


class WaveNet(nn.Module):
    """Gated dilated convolutions; all layers speak to the output."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = CausalConv(1, 7, 2)
        self.filters = nn.ModuleList(CausalConv(7, 6, 2, dilation=2**i) for i in range(3))
        self.gates = nn.ModuleList(CausalConv(7, 6, 2, dilation=2**i) for i in range(3))
        self.backs = nn.ModuleList(nn.Conv1d(6, 7, 1) for _ in range(3))
        self.skips = nn.ModuleList(nn.Conv1d(6, 9, 1) for _ in range(3))
        self.out = nn.Sequential(nn.ReLU(), nn.Conv1d(9, 8, 1), nn.ReLU(), nn.Conv1d(8, 4, 1))

    def forward(self, x: Tensor) -> Tensor:
        x, total = self.enter(x), 0.0
        for filt, gate, back, skip in zip(
            self.filters, self.gates, self.backs, self.skips, strict=True
        ):
            y = filt(x).tanh() * gate(x).sigmoid()
            total = total + skip(y)
            x = x + back(y)
        return self.out(total)


class GatedConv(nn.Module):
    """Gated linear units over time (Dauphin et al.)."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = CausalConv(4, 14, 2), CausalConv(7, 12, 2)
        self.out = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.glu(self.one(x.transpose(1, 2)), 1)
        return self.out(functional.glu(self.two(x), 1).mean(-1))


class DepthwiseSpeech(nn.Module):
    """A Conformer's convolution module: GLU, depthwise over time, batch norm, Swish."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.norm = nn.Linear(4, 10), nn.LayerNorm(10)
        self.up, self.deep = nn.Conv1d(10, 16, 1), nn.Conv1d(8, 8, 3, padding=1, groups=8)
        self.batch_norm, self.down = nn.BatchNorm1d(8), nn.Conv1d(8, 10, 1)
        self.out = nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        y = functional.glu(self.up(self.norm(x).transpose(1, 2)), 1)
        y = self.down(functional.silu(self.batch_norm(self.deep(y)))).transpose(1, 2)
        return self.out((x + y).mean(1))


class Forecaster(nn.Module):
    """N-BEATS: blocks that take off what they have explained."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies = nn.ModuleList(
            nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 8), nn.ReLU()) for _ in range(2)
        )
        self.backs = nn.ModuleList(nn.Linear(8, 6) for _ in range(2))
        self.aheads = nn.ModuleList(nn.Linear(8, 3) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        ahead = 0.0
        for body, back, forecast in zip(self.bodies, self.backs, self.aheads, strict=True):
            y = body(x)
            x, ahead = x - back(y), ahead + forecast(y)
        return ahead


class DiagonalStateSpace(nn.Module):
    """A linear recurrence with a decay of its own for each unit, written as a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.decay = nn.Linear(4, 8), nn.Parameter(torch.zeros(8))
        self.gate, self.out = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        given, gate, keep = self.enter(x), functional.silu(self.gate(x)), self.decay.sigmoid()
        state, steps = torch.zeros_like(given[:, 0]), []
        for t in range(x.shape[1]):
            state = keep * state + given[:, t]
            steps.append(state * gate[:, t])
        return self.out(torch.stack(steps, 1))
