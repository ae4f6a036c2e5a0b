"""The zoo: networks of all kinds, each with the number of its units that a person would remove."""

from functools import partial

from torch import nn

from tests.zoo import (
    mobile,
    oddities,
    patches,
    pixels,
    pretrained,
    sequence,
    tabular,
    text,
    vision,
    weights,
)
from tests.zoo.row import Row, floats, lengths, tokens

__all__ = ["ROWS"]

image = floats(3, 8, 8)
words = tokens(20, 6)
series = floats(7, 4)
table = floats(6)
film = floats(4, 2, 6, 6)

CHANNEL, NEURON, HEAD = "channel", "neuron", "head"
HIDDEN, EMBEDDING = "hidden unit", "embedding dimension"
# Equal places in all heads of an attention. Where one number or one view holds for queries, keys
# and values alike, a dimension goes from all of them.
DIMENSION = "head dimension"

VISION = [
    Row("lenet", vision.lenet, image, {CHANNEL: 6 + 10, NEURON: 12}),
    Row("vgg", vision.vgg, image, {CHANNEL: 6 + 6 + 10 + 10, NEURON: 14 + 12}),
    Row("alexnet", vision.AlexNet, image, {CHANNEL: 6 + 8 + 10, NEURON: 16}),
    # The norm mixes the first convolution's channels with their neighbours.
    Row("local_response_norm", vision.local_response_norm, image, {CHANNEL: 8}),
    # A stream that is summed counts once (8 and 12); each block has a layer inside.
    Row("resnet_basic", vision.resnet_basic, image, {CHANNEL: 8 + 8 + 12 + 12 + 12}),
    Row(
        "resnet_bottleneck",
        vision.resnet_bottleneck,
        image,
        {CHANNEL: 8 + (5 + 5) + 14 + (5 + 5) + (6 + 6) + 16},
    ),
    # Equal places of groups go together: 8 channels in 2 groups are 4 units, in 4 groups 2.
    Row("resnext", vision.resnext, image, {CHANNEL: 12 + (4 + 4) + (2 + 2) + 16}),
    Row("resnet_preactivation", vision.resnet_preactivation, image, {CHANNEL: 8 + 10 + 10}),
    # Group norm in two groups halves them all.
    Row("resnet_group_norm", vision.resnet_group_norm, image, {CHANNEL: 4 + 4 + 6 + 6}),
    Row("densenet", vision.densenet, image, {CHANNEL: 6 + 2 * (8 + 4) + 7 + (8 + 4)}),
    Row("inception", vision.inception, image, {CHANNEL: 6 + 2 * (17 + 8)}),
    Row("googlenet", vision.GoogLeNet, image, {CHANNEL: 6 + 2 * (17 + 8) + 7}, trains=True),
    Row("squeezenet", vision.squeezenet, image, {CHANNEL: 8 + 2 * (4 + 11)}),
    Row("mobilenet_v1", mobile.mobilenet_v1, image, {CHANNEL: 6 + 10 + 12}),
    # A block from 6 to 6 channels adds to its input, one from 6 to 8 does not.
    Row("mobilenet_v2", mobile.mobilenet_v2, image, {CHANNEL: 6 + 12 + 12 + 8 + 16}),
    # The squeezed channels (4) are counted as well.
    Row(
        "mobilenet_v3",
        mobile.mobilenet_v3,
        image,
        {CHANNEL: 6 + (10 + 4) + (12 + 4) + 8, NEURON: 14},
    ),
    Row("efficientnet", mobile.efficientnet, image, {CHANNEL: 6 + (10 + 3) + (10 + 3) + 9 + 12}),
    # The stream goes in pairs (two groups); inside, groups and the shuffle tie 8 channels to 2.
    Row("shufflenet_v1", mobile.ShuffleNetV1, image, {CHANNEL: 6 + 2}),
    # Halves of the stem's 16 channels go in pairs, and with what the shuffle puts beside them.
    Row("shufflenet_v2", mobile.ShuffleNetV2, image, {CHANNEL: 8 + 10 + 12}),
    Row("shufflenet_group_norm", mobile.shufflenet_group_norm, image, {CHANNEL: 4 + 5 + 12}),
    Row("convnext", vision.convnext, image, {CHANNEL: 8 + 12, NEURON: 16 + 18}),
    Row("ghostnet", mobile.GhostNet, image, {CHANNEL: 8 + 10}),
    # Parts of 5 channels of a split go together, since the split is in equal parts.
    Row("res2net", vision.Res2Net, image, {CHANNEL: 9 + 5 + 5}),
    Row("cross_stage", pixels.CrossStage, image, {CHANNEL: 6 + 5 + 10}),
    Row("unet", pixels.UNet, image, {CHANNEL: 6 + 8 + 12 + 8 + 9 + 6 + 7}),
    Row("fully_convolutional", pixels.FullyConvolutional, image, {CHANNEL: 6 + 9}),
    Row("feature_pyramid", pixels.Pyramid, image, {CHANNEL: 6 + 8 + 10 + 7}),
    Row("conv_autoencoder", pixels.conv_autoencoder, image, {CHANNEL: 8 + 5 + 7}),
    # Four neurons become a channel.
    Row("dcgan_generator", pixels.Generator, floats(5), {CHANNEL: 9 + 6}),
    # The channels of the last convolution are the classes.
    Row("network_in_network", vision.network_in_network, image, {CHANNEL: 6 + 6 + 8 + 8}),
    # Four channels become one with more pixels.
    Row("super_resolution", pixels.super_resolution, image, {CHANNEL: 8 + 5}),
    Row("siamese_conv", vision.SiameseConv, (image, image), {CHANNEL: 6 + 8, NEURON: 10}),
    Row("coordinate_conv", vision.CoordinateConv, image, {CHANNEL: 8 + 7}),
    Row("spatial_transformer", vision.SpatialTransformer, image, {CHANNEL: 5 + 7, NEURON: 9}),
    Row("style_transfer", pixels.style_transfer, image, {CHANNEL: 6 + 8}),
    # Queries and keys are one group.
    Row("non_local", patches.NonLocal, image, {CHANNEL: 8 + 5 + 6}),
    Row("selective_kernel", vision.SelectiveKernel, image, {CHANNEL: 8, NEURON: 5}),
    Row("video", vision.video, floats(2, 4, 6, 6), {CHANNEL: 6 + 8}),
    Row(
        "vit",
        patches.ViT,
        image,
        {EMBEDDING: 12, HEAD: 2 * 4, DIMENSION: 2 * 3, NEURON: 2 * 18},
    ),
    Row(
        "swin",
        patches.Swin,
        image,
        {EMBEDDING: 12, HEAD: 2 * 3, DIMENSION: 2 * 4, NEURON: 2 * 14},
    ),
    Row("mlp_mixer", patches.mlp_mixer, image, {EMBEDDING: 10, NEURON: 2 * (7 + 15)}),
    # Each unit inside is two neurons, one of which gates the other.
    Row("gated_mlp", patches.gated_mlp, image, {EMBEDDING: 10, NEURON: 2 * 9}),
]

# A stream of 12, 3 heads of 4 dimensions, and 16 neurons in each of two blocks.
ENCODER = {EMBEDDING: 12, HEAD: 2 * 3, DIMENSION: 2 * 4, NEURON: 2 * 16}
ATTENTION = {NEURON: 12, HEAD: 3, DIMENSION: 4}

TEXT = [
    Row("text_cnn", text.TextCNN, words, {EMBEDDING: 8, CHANNEL: 3 * 6}),
    # What a highway carries and changes is one group.
    Row("character_highway", text.CharacterHighway, words, {EMBEDDING: 6, CHANNEL: 9, HIDDEN: 7}),
    Row("bag_of_words", text.BagOfWords, words, {EMBEDDING: 10}),
    Row("deep_bag", text.DeepBag, words, {EMBEDDING: 8 + 6, NEURON: 12}),
    Row("deep_average", text.DeepAverage, words, {EMBEDDING: 9, NEURON: 11}),
    # One hidden_size holds for all layers and directions, so that equal places go together.
    Row("lstm_tagger", text.LSTMTagger, words, {EMBEDDING: 8, HIDDEN: 7}),
    # The output layer has the embedding's weights, so hidden units meet its dimensions.
    Row("tied_language_model", text.TiedLanguageModel, words, {HIDDEN: 9}),
    Row("tied_by_function", text.TiedByFunction, words, {EMBEDDING: 9, NEURON: 12}),
    Row("torch_encoder", text.Encoder, words, ENCODER),
    Row("torch_prenorm_encoder", text.prenorm_encoder, words, ENCODER),
    # One matrix projects queries from the stream and keys from the memory: their dimensions meet.
    Row(
        "torch_decoder",
        text.Decoder,
        (words, floats(7, 5)),
        {EMBEDDING: 8, HEAD: 2 * (2 + 2), DIMENSION: 2 * (4 + 4), NEURON: 2 * 14},
    ),
    Row(
        "torch_transformer",
        text.Translator,
        (words, tokens(20, 5)),
        {EMBEDDING: 8, HEAD: 2 + 2 + 2, DIMENSION: 4 + 4 + 4, NEURON: 2 * 12},
    ),
    Row("gpt", text.GPT, words, {**ENCODER, NEURON: 2 * 20}),
    # A key's head goes with the two heads of queries that look at it. Each dimension of a head has
    # a speed of its own at which it is rotated, which holds it.
    Row("llama_by_hand", text.Llama, words, {EMBEDDING: 14, HEAD: 3, NEURON: 18}),
    Row(
        "shared_block",
        text.SharedBlock,
        words,
        {EMBEDDING: 6 + 12, HEAD: 3, DIMENSION: 4, NEURON: 16},
    ),
    # Queries and keys are not zero where nothing comes in; the dimensions of values can go.
    Row("linear_attention", text.LinearAttention, words, {EMBEDDING: 10, HEAD: 2, DIMENSION: 4}),
    # Those of queries, keys and distances, and those of values.
    Row(
        "relative_attention",
        text.RelativeAttention,
        words,
        {EMBEDDING: 10, HEAD: 3, DIMENSION: 4 + 4},
    ),
    Row("multihead_attention", text.Attending, floats(6, 5), ATTENTION),
    Row(
        "multihead_attention_no_bias",
        partial(text.Attending, bias=False),
        floats(6, 5),
        ATTENTION,
    ),
    Row(
        "multihead_attention_bias_kv",
        partial(text.Attending, add_bias_kv=True),
        floats(6, 5),
        ATTENTION,
    ),
    Row(
        "multihead_attention_zero",
        partial(text.Attending, add_zero_attn=True),
        floats(6, 5),
        ATTENTION,
    ),
    # The weights that it puts out are means over heads, which have to stay.
    Row(
        "cross_attention",
        text.CrossAttending,
        (floats(6, 5), floats(7, 4)),
        {NEURON: 8 + 6 + 7 + 8, DIMENSION: 4},
    ),
    Row("masked_attention", text.MaskedAttending, words, {EMBEDDING: 12, HEAD: 4, DIMENSION: 3}),
    # Questions, keys and answers are multiplied and added: one group.
    Row("memory_network", text.EndToEndMemory, (tokens(20, 4, 5), words), {EMBEDDING: 8}),
    # The encoder's state is the decoder's.
    Row("pointer_network", text.PointerNetwork, series, {HIDDEN: 8, NEURON: 7}),
]

# There is a layer before the classes.
BERT = {**ENCODER, NEURON: 2 * 16 + 12}
# Positions that are rotated hold the dimensions of heads.
ROTATED = {EMBEDDING: 12, HEAD: 2 * 3, NEURON: 2 * 16}
by_name = {"input_ids": words}

PRETRAINED = [
    Row("bert", pretrained.bert, by_name, BERT),
    Row("roberta", pretrained.roberta, by_name, BERT),
    Row("electra", pretrained.electra, by_name, {**BERT, EMBEDDING: 6 + 12}),
    # All blocks are one.
    Row(
        "albert",
        pretrained.albert,
        by_name,
        {EMBEDDING: 6 + 12, HEAD: 3, DIMENSION: 4, NEURON: 16 + 12},
    ),
    # The layer before the tied output meets the embedding.
    Row("bert_language_model", pretrained.bert_language_model, by_name, ENCODER),
    Row("distilbert", pretrained.distilbert, by_name, BERT),
    Row("gpt2", pretrained.gpt2, by_name, ENCODER),
    Row("opt", pretrained.opt, by_name, ENCODER),
    Row("gpt_neox", pretrained.gpt_neox, by_name, ROTATED, rounding=1e-5),
    Row("llama", pretrained.llama, by_name, ROTATED, rounding=1e-5),
    Row("qwen2", pretrained.qwen2, by_name, {**ROTATED, EMBEDDING: 24}, rounding=1e-5),
    Row("mistral", pretrained.mistral, by_name, ROTATED, rounding=1e-5),
    # The experts of a block are one tensor, so their neurons at equal places go together.
    Row("mixtral", pretrained.mixtral, by_name, ROTATED, rounding=1e-5),
    # The stream is put out, and one bias for each head and distance serves both blocks.
    Row(
        "t5_encoder",
        pretrained.t5_encoder,
        by_name,
        {HEAD: 3, DIMENSION: 2 * 4, NEURON: 2 * 16},
        rounding=1e-5,
    ),
    # What the encoder makes is put out, and its dimensions are those of the one embedding.
    Row("bart", pretrained.bart, by_name, {HEAD: 3 + 3 + 3, DIMENSION: 4 + 4 + 4, NEURON: 16 + 14}),
    Row("vit_downloaded", pretrained.vit, {"pixel_values": image}, ENCODER),
    Row(
        "convnext_downloaded",
        pretrained.convnext,
        {"pixel_values": image},
        {CHANNEL: 6 + 8, NEURON: 4 * (6 + 8)},
    ),
    Row(
        "resnet_downloaded",
        pretrained.resnet,
        {"pixel_values": image},
        {CHANNEL: 6 + 16 + (4 + 4) + 24 + 2 * (6 + 6)},
    ),
    Row("whisper_encoder", pretrained.WhisperEncoder, floats(5, 12), {**ENCODER, CHANNEL: 12}),
]

LSTM, GRU, RNN = nn.LSTM, nn.GRU, nn.RNN
recurrent = partial(partial, sequence.Recurrent)
last_state = partial(partial, sequence.LastState)

SEQUENCE = [
    Row("lstm", recurrent(LSTM), series, {NEURON: 6, HIDDEN: 7}),
    Row("gru", recurrent(GRU), series, {NEURON: 6, HIDDEN: 7}),
    Row("rnn", recurrent(RNN), series, {NEURON: 6, HIDDEN: 7}),
    Row("rnn_relu", recurrent(RNN, nonlinearity="relu"), series, {NEURON: 6, HIDDEN: 7}),
    Row("lstm_no_bias", recurrent(LSTM, bias=False), series, {NEURON: 6, HIDDEN: 7}),
    # One hidden_size holds for all layers and directions: equal places go together.
    Row("lstm_stacked", recurrent(LSTM, num_layers=2), series, {NEURON: 6, HIDDEN: 7}),
    Row("gru_stacked", recurrent(GRU, num_layers=3), series, {NEURON: 6, HIDDEN: 7}),
    Row(
        "lstm_bidirectional",
        recurrent(LSTM, put_out=14, bidirectional=True),
        series,
        {NEURON: 6, HIDDEN: 7},
    ),
    Row(
        "gru_stacked_bidirectional",
        recurrent(GRU, put_out=14, num_layers=2, bidirectional=True),
        series,
        {NEURON: 6, HIDDEN: 7},
    ),
    # The hidden units, and what they are projected to.
    Row(
        "lstm_projected",
        recurrent(LSTM, put_out=5, proj_size=5),
        series,
        {NEURON: 6, HIDDEN: 7 + 5},
    ),
    Row("lstm_last_state", last_state(LSTM), series, {HIDDEN: 8}),
    # The states of all layers or directions are one tensor.
    Row("gru_last_states", last_state(GRU, 2, num_layers=2), series, {HIDDEN: 8}),
    Row("lstm_last_ways", last_state(LSTM, 2, bidirectional=True), series, {HIDDEN: 8}),
    Row("lstm_given_state", sequence.GivenState, series, {HIDDEN: 7}),
    Row("gru_zero_state", sequence.ZeroState, series, {HIDDEN: 8}),
    Row("gru_state_from_input", sequence.StateFromInput, (series, floats(5)), {HIDDEN: 8}),
    Row("lstm_packed", sequence.Packed, (series, lengths(7)), {NEURON: 6, HIDDEN: 7}),
    Row("lstm_cell", partial(sequence.Cells, nn.LSTMCell), series, {NEURON: 6, HIDDEN: 8}),
    Row("gru_cell", partial(sequence.Cells, nn.GRUCell), series, {NEURON: 6, HIDDEN: 8}),
    Row("rnn_cell", partial(sequence.Cells, nn.RNNCell), series, {NEURON: 6, HIDDEN: 8}),
    Row("lstm_cells_with_zeros", sequence.CellsWithZeros, series, {HIDDEN: 7 + 9}),
    Row("own_lstm", sequence.OwnLSTM, series, {HIDDEN: 7}),
    Row("gru_layer_norm", sequence.NormedGRU, series, {HIDDEN: 9, NEURON: 8}),
    Row("lstm_attention", sequence.AttendingLSTM, series, {HIDDEN: 6, NEURON: 7}),
    # The encoder's states are handed over, and multiplied with the decoder's.
    Row(
        "seq2seq",
        sequence.Seq2Seq,
        (tokens(12, 6), tokens(12, 5)),
        {EMBEDDING: 6 + 5, HIDDEN: 8, NEURON: 9},
    ),
    Row("conv_lstm", sequence.ConvLSTM, film, {HIDDEN: 6}),
    Row("conv_then_lstm", sequence.ConvThenLSTM, series, {CHANNEL: 8 + 6, HIDDEN: 9}),
    Row("frame_cnn_lstm", sequence.FrameCNN, film, {CHANNEL: 6, NEURON: 8, HIDDEN: 7}),
    Row("tcn", sequence.TCN, series, {CHANNEL: 6 + 8 + 5}),
    Row("wavenet", sequence.WaveNet, floats(1, 12), {CHANNEL: 7 + 3 * 6 + 9 + 8}),
    # Two channels make one.
    Row("gated_conv", sequence.GatedConv, series, {CHANNEL: 7 + 6}),
    Row("conformer_convolution", sequence.DepthwiseSpeech, series, {NEURON: 10, CHANNEL: 8}),
    Row("nbeats", sequence.Forecaster, table, {NEURON: 2 * (9 + 8)}),
    Row("state_space", sequence.DiagonalStateSpace, series, {HIDDEN: 8}),
]

# Layers of 10 and 8 neurons.
TWO = {NEURON: 10 + 8}
codes = tokens(5, 2)

TABULAR = [
    Row("mlp_relu", tabular.plain(nn.ReLU), table, TWO),
    Row("mlp_sigmoid", tabular.plain(nn.Sigmoid), table, TWO),
    Row("mlp_prelu", tabular.plain(nn.PReLU), table, TWO),
    Row("mlp_prelu_each", tabular.prelu_each, table, TWO),
    Row("mlp_batch_norm", tabular.batch_normed, table, TWO),
    Row("mlp_layer_norm", tabular.layer_normed, table, TWO),
    Row("mlp_layer_norm_plain", tabular.layer_normed_plainly, table, TWO),
    Row("mlp_rms_norm", tabular.rms_normed, table, TWO),
    Row("mlp_selu", tabular.self_normalizing, table, TWO),
    Row("linear", tabular.linear, table, {}, "its neurons are the output"),
    Row("mlp_residual", tabular.Residual, table, {NEURON: 9 + 2 * 12}),
    Row("mlp_concatenation", tabular.SkipConcatenation, table, {NEURON: 8 + 7}),
    Row("highway", tabular.Highway, table, {NEURON: 9}),
    # Three neurons make one.
    Row("maxout", tabular.Maxout, table, {NEURON: 8}),
    Row("gated", tabular.Gated, table, {NEURON: 8 + 9}),
    Row("autoencoder", tabular.autoencoder, table, {NEURON: 10 + 4 + 9}),
    Row("tied_autoencoder", tabular.TiedAutoencoder, table, {NEURON: 10 + 5}),
    # The code is put out.
    Row("variational_autoencoder", tabular.Variational, table, {NEURON: 9 + 8}),
    Row(
        "wide_and_deep",
        tabular.WideAndDeep,
        {"numbers": floats(4), "codes": codes},
        {EMBEDDING: 4 + 4, NEURON: 10 + 7},
    ),
    Row("deepfm", tabular.DeepFM, tokens(20, 3), {EMBEDDING: 6, NEURON: 10}),
    Row("cross_network", tabular.CrossNetwork, codes, {EMBEDDING: 4 + 4, NEURON: 10}),
    Row(
        "two_towers",
        tabular.TwoTowers,
        (tokens(9), tokens(12)),
        {EMBEDDING: 6 + 5, NEURON: 8 + 8 + 7},
    ),
    Row(
        "ft_transformer",
        tabular.FTTransformer,
        table,
        {EMBEDDING: 12, HEAD: 3, DIMENSION: 4, NEURON: 10},
    ),
    Row("autoint", tabular.AutoInt, tokens(20, 3), {EMBEDDING: 6, HEAD: 2, DIMENSION: 4 + 4}),
    # The steps share a stream of 10, of which 6 decide and 4 choose what to look at.
    Row("tabnet", tabular.TabNet, table, {NEURON: 10}),
    Row("mixture_of_experts", tabular.MixtureOfExperts, table, {NEURON: 3 * 8 + 7 + 5}),
    # The experts are one tensor.
    Row("sparse_experts", tabular.SparseExperts, table, {NEURON: 9 + 7}),
    Row("routed_experts", tabular.RoutedExperts, table, {NEURON: 9 + 2 * 8}),
    Row("many_tasks", tabular.ManyTasks, table, {NEURON: 8 + 2 * 5}),
    Row("neural_additive", tabular.NeuralAdditive, table, {NEURON: 6 * (5 + 4)}),
    Row("deep_sets", tabular.DeepSets, floats(5, 4), {NEURON: 9 + 8 + 7}),
    Row("coupling_flow", tabular.Coupling, table, {NEURON: 2 * 9}),
    Row("graph_convolution", tabular.GraphConvolution, (series, floats(7, 7)), {NEURON: 8 + 7}),
    Row("bilinear", tabular.Bilinear, table, {NEURON: 7 + 5 + 8}),
]

ODDITIES = [
    Row("flip", oddities.Flip, table, TWO),
    Row("flip_odd", partial(oddities.Flip, 9), table, {NEURON: 9 + 8}),
    # Ten neurons in five pairs; of nine, the one in the middle is alone.
    Row("flip_added", oddities.FlipAdded, table, {NEURON: 5 + 8}),
    Row("flip_added_odd", partial(oddities.FlipAdded, 9), table, {NEURON: 5 + 8}),
    Row("roll", oddities.Roll, table, {NEURON: 8}, "forward moves units by a place"),
    Row("norm_then_roll", oddities.NormThenRoll, table, {NEURON: 10}, "as for roll"),
    Row("sliced", oddities.Sliced, table, {NEURON: 8}, "forward slices at a number"),
    Row("view_written", oddities.ViewWritten, table, {NEURON: 8}, "forward has sizes written in"),
    # Twelve neurons in fours of three.
    Row("view_free", oddities.ViewFree, table, {NEURON: 4 + 8}),
    Row("sorted", oddities.Sorted, table, {NEURON: 8}, "each depends on all"),
    Row("softmax_units", oddities.SoftmaxOverUnits, table, {NEURON: 8}, "each depends on all"),
    Row("mean_units", oddities.MeanOverUnits, table, {NEURON: 8}, "each depends on all"),
    # What is zero adds nothing to the sums after it.
    Row("cumulative_sum", oddities.CumulativeSum, table, TWO),
    Row("shifted", oddities.Shifted, table, {NEURON: 8}, "forward moves units by a place"),
    Row("normalized", oddities.Normalized, table, TWO),
    Row("cosine_classifier", oddities.Cosine, table, {NEURON: 9 + 7}),
    Row("prototypes", oddities.Distances, table, {NEURON: 9 + 7}),
    Row("everything_put_out", oddities.EverythingPutOut, table, {NEURON: 8}),
    Row("bare_pair", weights.BarePair, table, {NEURON: 10}),
    Row("functional", weights.Functional, table, TWO),
    Row("einsum", weights.Einsum, table, TWO),
    Row("einsum_heads", weights.EinsumHeads, floats(5, 6), {HEAD: 3, DIMENSION: 4 + 4, NEURON: 8}),
    Row("parameter_dict", weights.Parameters, table, {}, "forward finds biases by their width"),
    Row("parameter_list", weights.ParameterStack, table, TWO),
    # A low rank can lose ranks too.
    Row("low_rank", weights.LowRank, table, {NEURON: 10 + 4}),
    Row("weight_norm", weights.weight_norm, table, TWO),
    Row("spectral_norm", weights.spectral_norm, floats(3, 8, 8), {CHANNEL: 6 + 8}),
    # A weight's mean goes over the channels that it reads.
    Row("weight_standardization", weights.weight_standardization, image, {CHANNEL: 8}),
    Row("complex", weights.Complex, series, {NEURON: 8}),
    Row("branch_on_data", oddities.BranchOnData, table, TWO),
    Row("rare_branch", oddities.RareBranch, table, TWO),
    Row("auxiliary_head", oddities.AuxiliaryHead, table, TWO, trains=True),
    Row("unused_layer", oddities.UnusedLayer, table, TWO),
    Row("shared_layer", oddities.SharedLayer, table, {NEURON: 9}),
    # A direction that is no parameter can go as well.
    Row("fixed_projection", oddities.FixedProjection, table, {NEURON: 10 + 8 + 5}),
    Row("buffer_scale", oddities.BufferScale, table, TWO),
    Row("through_numpy", oddities.ThroughNumpy, table, {NEURON: 8}, "forward leaves torch"),
    Row("checkpointed", oddities.Checkpointed, table, TWO),
    Row("in_place", oddities.InPlace, table, TWO),
    Row("with_hooks", oddities.WithHooks, table, TWO),
    Row("conv_then_sequence", oddities.ConvThenSequence, image, {CHANNEL: 6, HIDDEN: 7}),
    Row("stacked_copies", oddities.StackedCopies, table, TWO),
    Row("interleaved", oddities.Interleaved, table, TWO),
    Row("outer_product", oddities.OuterProduct, table, {NEURON: 10 + 5 + 8}),
    # A neuron of the written layer is four of the writing one.
    Row("hypernetwork", weights.HyperNetwork, table, {NEURON: 8 + 7}),
    Row("optional_input", oddities.FastWeights, {"x": table, "hint": floats(4)}, {NEURON: 8}),
    Row("lazy", oddities.Lazy, image, {CHANNEL: 6, NEURON: 9}),
    Row("learnt_scale", oddities.LearntScale, table, TWO),
]

ROWS = [*VISION, *TEXT, *PRETRAINED, *SEQUENCE, *TABULAR, *ODDITIES]
